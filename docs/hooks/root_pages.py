"""CONTRIBUTING.md and CHANGELOG.md of the repository become pages; links into docs/ are adapted."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def on_files(files_: Files, config: MkDocsConfig, **_: object) -> Files:
    """Add the pages."""
    root = Path(config.config_file_path).parent
    for page, source in PAGES.items():
        text = (root / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files_.append(File.generated(config, page, content=text))
    return files_
