"""The part of the standard library that is in a backend's component: that of a strategy, and what talks to servers."""

import sigbox._library_strategy  # noqa: F401

import email.message  # noqa: F401
import fnmatch  # noqa: F401
import glob  # noqa: F401
import gzip  # noqa: F401
import http.client  # noqa: F401
import pathlib  # noqa: F401
import select  # noqa: F401
import shutil  # noqa: F401
import socket  # noqa: F401
import stat  # noqa: F401
import tempfile  # noqa: F401
import urllib.request  # noqa: F401
import xml.etree.ElementTree  # noqa: F401
