"""Is the Python that runs this fit to build Funicorn for? Prints what is asked for, or says on stderr what is wrong.

    describe_python.py version      its version, X.Y
    describe_python.py executable   the interpreter itself, also from a virtual environment or a version manager's shim
    describe_python.py debian       nothing; fails without a word when Debian's packages would mend what is wrong

Runs on every Python 3, so that one that is too old can be told so.
"""

import os
import sys
import sysconfig

OLDEST = (3, 9)


def shared_library():
    """The path of the shared library that a program links to embed this Python, None without one."""
    if sysconfig.get_config_var("PYTHONFRAMEWORK"):
        return sysconfig.get_config_var("PYTHONFRAMEWORKPREFIX")
    name, directory = sysconfig.get_config_var("LDLIBRARY"), sysconfig.get_config_var("LIBDIR")
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") or not name:
        return None
    directories = [directory, os.path.join(directory, sysconfig.get_config_var("MULTIARCH") or "")]
    found = [path for path in (os.path.join(place, name) for place in directories) if os.path.exists(path)]
    return found[0] if found else None


def can_make_environments():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def fault():
    """What is wrong with this Python, in a sentence that says what to do; None when nothing is."""
    name = "%s (Python %d.%d.%d)" % ((sys.executable,) + sys.version_info[:3])
    if sys.version_info < OLDEST:
        return "%s is too old: choose Python 3.9 or later with PYTHON=/path/to/python3.X" % name
    if sys.implementation.name != "cpython":
        return "%s is not CPython: choose a CPython with PYTHON=/path/to/python3.X" % name
    if shared_library() is None:
        return (
            "%s has no shared library (libpython). Install it (Debian: python3-dev; pyenv: reinstall with "
            "PYTHON_CONFIGURE_OPTS=--enable-shared), or choose another Python with PYTHON=/path/to/python3.X" % name
        )
    if not can_make_environments():
        return "%s cannot make virtual environments. Install its venv module (Debian: python3-venv)" % name
    return None


def main():
    wrong = fault()
    if sys.argv[1] == "debian":
        mendable = wrong is not None and sys.version_info >= OLDEST and sys.executable.startswith("/usr/bin/")
        sys.exit(1 if mendable and os.path.exists("/etc/debian_version") else 0)
    if wrong:
        sys.exit("error: " + wrong)
    if sys.argv[1] == "version":
        print("%d.%d" % sys.version_info[:2])
    else:
        print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))


main()
