"""Which Python environment does the application find, and what does the operator hear of the others?"""

import os
import sys
import venv
from pathlib import Path

import pytest
from test_failures import APPLICATION, end

#: Needs a module that is in one environment only.
NEEDY = """
    import sys, only_there
    def application(environ, start_response):
        start_response("200 OK", [])
        return [sys.prefix.encode(), b" ", sys.executable.encode()]
    """


@pytest.fixture
def environment(tmp_path):
    """A virtual environment, of the Python that runs the tests, with a module of its own."""
    root = tmp_path / "venv"
    venv.create(root, symlinks=True)
    packages = next(root.glob("lib/python*/site-packages"))
    (packages / "only_there.py").write_text("")
    return root


def executable(path: Path, start: bytes) -> Path:
    path.parent.mkdir(parents=True)
    path.write_bytes(start)
    path.chmod(0o755)
    return path


def test_the_python_on_the_path_is_used_as_containers_have_it(serve, environment):
    path = f"{environment}/bin:{os.environ['PATH']}"
    server = serve(NEEDY, env={"VIRTUAL_ENV": "", "CONDA_PREFIX": "", "PATH": path})
    assert server.get().body.decode().split() == [str(environment), str(environment / "bin" / "python")]
    server.wait_for_log(f"with the packages of {environment} (the python on PATH)")


def test_the_active_conda_environment_is_used(serve, environment):
    server = serve(NEEDY, env={"VIRTUAL_ENV": "", "CONDA_PREFIX": str(environment), "CONDA_DEFAULT_ENV": "shop"})
    assert server.get().body.decode().split()[0] == str(environment)
    server.wait_for_log(f"with the packages of {environment} (CONDA_PREFIX)")


def test_the_base_environment_of_conda_gives_way_to_the_path(serve, environment, tmp_path):
    variables = {"VIRTUAL_ENV": "", "CONDA_PREFIX": sys.prefix, "CONDA_DEFAULT_ENV": "base", "PATH": f"{environment}/bin"}
    assert serve(NEEDY, env=variables).get().body.decode().split()[0] == str(environment)


def test_an_active_virtual_environment_comes_first(serve, environment):
    variables = {"VIRTUAL_ENV": str(environment), "CONDA_PREFIX": sys.prefix}
    assert serve(NEEDY, env=variables).get().body.decode().split()[0] == str(environment)


@pytest.mark.parametrize(
    "name, start, reason",
    [
        ("python3.2", b"\x7fELF", "which is Python 3.2 where"),
        ("python", b"#!/bin/sh\nexec false\n", "which is a script"),
    ],
)
def test_a_python_on_the_path_that_does_not_fit_is_passed_over_and_named(serve, tmp_path, name, start, reason):
    python = executable(tmp_path / "other" / "bin" / name, start)
    if name != "python":
        python.with_name("python").symlink_to(name)
    variables = {"VIRTUAL_ENV": "", "CONDA_PREFIX": "", "PATH": str(python.parent)}
    hello = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return []\n"
    assert serve(hello, env=variables).get().status == 200
    code, message = end(serve(NEEDY, env=variables))
    assert code == APPLICATION
    assert f"not looked at: {python.with_name('python')} (the python on PATH, {reason}" in message


@pytest.mark.parametrize(
    "source, spec",
    [
        (NEEDY, "app"),
        ("def create():\n    import only_there", "app:create()"),
        ("", "only_there"),
    ],
)
def test_a_module_that_is_missing_may_be_in_an_environment_that_was_not_looked_at(serve, environment, source, spec):
    code, message = end(serve(source, spec=spec, env={"CONDA_PREFIX": str(environment), "CONDA_DEFAULT_ENV": "shop"}))
    assert code == APPLICATION
    assert f"Python's environment is that of {sys.prefix}/bin/python; not looked at: " in message
    assert f"{environment}/bin/python (CONDA_PREFIX)" in message


def test_a_virtual_environment_that_nobody_has_activated_is_named(serve, environment, tmp_path):
    environment.rename(tmp_path / ".venv")
    code, message = end(serve(NEEDY))
    assert code == APPLICATION
    assert f"{tmp_path}/.venv/bin/python (not active)" in message


WHERE = """
    import os, sys
    def application(environ, start_response):
        start_response("200 OK", [])
        return [os.fsencode(os.getcwd()), b" ", os.fsencode(__file__), b" ", os.fsencode(__name__)]
    """


@pytest.mark.parametrize("utf8", ["0", "1"])
@pytest.mark.parametrize("module", ["app", "caf\xe9"])
def test_a_directory_beyond_ascii_is_found_in_any_locale(serve, tmp_path, utf8, module):
    """gunicorn finds such a module in a C locale too."""
    directory = tmp_path / "gr\xf6\xdfe"
    directory.mkdir()
    (directory / f"{module}.py").write_text(WHERE.replace("\n    ", "\n"))
    variables = {"LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
    for flags in (["--chdir", directory.name], ["--pythonpath", directory.name]):
        where, file, name = serve(None, *flags, spec=module, env=variables).get().body.decode().split(" ")
        assert file == f"{directory}/{module}.py" and name == module
        assert where == str(directory if flags[0] == "--chdir" else tmp_path)


def test_a_module_beyond_ascii_that_is_missing_is_named(serve):
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, message = end(serve("", spec="caf\xe9", env=variables))
    assert code == APPLICATION and 'no module named "caf\xe9" on sys.path' in message
