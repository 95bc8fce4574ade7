"""What can be wrong with the data, as a tree.

Every message has the form `{where}: {what is}; {what should be, or what to do}`. A fault of the
caller is a ValueError or TypeError instead.
"""


class BratsError(Exception):
    """The data, or the place it should go to, is at fault; the message is for the user."""


class LayoutError(BratsError):
    """A folder or archive holds no case, or a case that cannot be put together."""


class SourceError(BratsError):
    """A file or archive member cannot be read, is no real file, or is unsafe to read."""


class NiftiError(BratsError):
    """A NIfTI file is broken, or does not fit the other files of its case."""


class LabelError(BratsError):
    """A label value is outside its scheme, or the scheme cannot be told."""


class VolumeError(BratsError):
    """The voxels of a case cannot be normalised or cropped."""


class SchemaError(BratsError):
    """A slice file does not keep the contract."""


class BuildError(BratsError):
    """A slice file cannot be written, or a build cannot go on."""
