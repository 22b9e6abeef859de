"""How the site is built (`make docs`): MyST pages, notebooks that are executed, and reference pages made from the code."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
OURS = [str(DOCS / "extensions"), str(DOCS / "tutorials"), str(DOCS.parent / "src")]
sys.path[:0] = OURS
# Tutorials run in processes of their own, with the `aam` beside this Python.
os.environ["PYTHONPATH"] = os.pathsep.join([*OURS, *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

import aam  # noqa: E402 - from the source beside this folder

project = "AAM"
author = "the authors of AAM"
copyright = "the authors of AAM, BSD-3-Clause"  # noqa: A001 - Sphinx calls it so
version = release = aam.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    # Ours, in extensions/.
    "commands",
    "public_api",
    "repository_pages",
]
exclude_patterns = ["_build", "extensions", "images/draw.py", "**/.ipynb_checkpoints"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}

# Pages: the same Markdown that GitHub shows.
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4
# A file of the repository that is no page is a link to it there.
# Cells of commands (%%bash) are no Python to the lexer, where they are not run.
suppress_warnings = ["mystnb.unknown_mime_type", "misc.highlighting_failure"]

# Tutorials run in every build, and one that fails fails it.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
# What they write goes with their folder.
nb_execution_in_temp = True
nb_execution_show_tb = True
nb_execution_timeout = 1500
nb_execution_excludepatterns = ["*.rst"]
nb_merge_streams = True
# Widgets would load scripts from other servers.
nb_ipywidgets_js = {}

# Docstrings in NumPy's style.
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {
    "exclude-members": "forward, set_output, set_fit_request, set_score_request, set_predict_request, get_metadata_routing"
}
add_module_names = False
# `NAME` in a docstring is code.
default_role = "code"


def setup(app):
    """Asterisks in the help of options are asterisks, as in `*.ckpt`."""

    def escape(app, what, name, thing, options, lines):
        if name.startswith("aam.options."):
            lines[:] = [line.replace("*", r"\*") for line in lines]

    app.connect("autodoc-process-docstring", escape)


# Flags keep their two dashes.
smartquotes = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = f"AAM {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
html_theme_options = {
    "logo": {"text": "AAM"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

# `make docs-external` follows them where the machine reaches them; `extensions/links.py` checks all others.
linkcheck_ignore = [r"https://github\.com/login"]
linkcheck_timeout = 20
