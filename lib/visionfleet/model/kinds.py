"""Tells what kind of model file some bytes are, by their content. No I/O here."""

import io
import zipfile
from typing import Literal

from visionfleet.errors import BadModel

FileKind = Literal["torchscript", "exported", "tensors"]

# The pickled magic number that files of `torch.save` begin with that are no ZIP archives.
_OLD_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def kind_of(data: bytes, where: object) -> FileKind:
    """Look at the members of the archive; raises BadModel for what is no model file."""
    if data.startswith(_OLD_MAGIC):
        return "tensors"
    names = _members(data, where)
    if any(name.startswith("data/aotinductor/") for name in names):
        raise BadModel(
            f"{where}: holds machine code compiled for one processor; "
            "save the exported program itself: torch.export.save(program, FILE)"
        )
    if names & {"archive_format", "serialized_exported_program.json"}:
        return "exported"
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return "torchscript"
    if "data.pkl" in names:
        return "tensors"
    raise BadModel(f"{where}: {_NO_MODEL}")


def _members(data: bytes, where: object) -> set[str]:
    """Names in the archive, without the folder that torch puts all of them into."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadModel(f"{where}: {_NO_MODEL} ({error})") from error
    return {name.partition("/")[2] for name in names} | {name for name in names if "/" not in name}


_NO_MODEL = "not a TorchScript file, an exported program or a state dict"
