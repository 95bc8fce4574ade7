"""HTML pages in one file: templates, a style sheet and scripts, under a policy without requests.

Markup is written in templates alone. Jinja2 escapes every value that they show, so a case id or a
path appears as text and never as markup. The page's security policy names its style sheet and its
script by their digests, allows pictures that lie inside the file, and forbids every request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from bratsprep.drawing.colours import COLOURS, ERRORS

DRAWING: Final = "bratsprep.drawing"
STYLE: Final = "page.css"


@cache
def environment(package: str = DRAWING) -> Environment:
    """Templates of this package as `drawing/...`, and those of another by its last name.

    Args:
        package: such as `bratstrain.pages`, whose templates are then `pages/...`.
    """
    loaders = {name.rpartition(".")[2]: PackageLoader(name) for name in (DRAWING, package)}
    made = Environment(
        loader=PrefixLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return made


def page(
    package: str,
    title: str,
    sections: Mapping[str, object],
    assets: Sequence[str] = (),
    template: str = "page.html",
) -> str:
    """Fill a page's template.

    Args:
        package: package of the template and the assets.
        title: title of the window, plain text.
        sections: the values that the template shows.
        assets: style sheets and scripts of the package, by file name.
        template: name of the template; it extends `drawing/base.html`.

    Returns:
        HTML that needs no other file.

    Raises:
        jinja2.UndefinedError: the template shows a value that is not in `sections`.
    """
    styles = [colour_rules(), asset(DRAWING, STYLE)]
    styles += [asset(package, name) for name in assets if name.endswith(".css")]
    style = "\n".join(styles)
    script = "\n".join(asset(package, name) for name in assets if name.endswith(".js"))
    name = f"{package.rpartition('.')[2]}/{template}"
    return (
        environment(package)
        .get_template(name)
        .render(
            title=title,
            policy=Markup(policy(style, script)),  # noqa: S704  digests of our own files
            style=Markup(style),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own files
            **sections,
        )
    )


def asset(package: str, name: str) -> str:
    """Text of a style sheet or script that is installed with a package."""
    return files(package).joinpath("assets", name).read_text(encoding="utf-8")


def colour_rules() -> str:
    """Colours of the classes and of the error map as variables of the style sheet."""
    rules = (f"--{name.lower()}: {colour};" for name, colour in (COLOURS | ERRORS).items())
    return f":root {{ {' '.join(rules)} }}"


def policy(style: str, script: str) -> str:
    """Security policy that allows one style sheet, one script and pictures in the file.

    Args:
        style: text of the style sheet.
        script: text of the script; empty where the page has none.
    """
    allowed = f"script-src '{digest(script)}'; " if script else ""
    return (
        f"default-src 'none'; {allowed}style-src '{digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(content: str) -> str:
    """SHA-256 of a text in base 64, as a security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
