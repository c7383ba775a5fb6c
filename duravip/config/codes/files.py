"""DV2xx: the file itself."""

from __future__ import annotations

from duravip.config.codes.code import error

CODES = (
    error(
        "DV201",
        "The file cannot be read.",
        why="A configuration that is not there must not look like an empty one: an empty one has no VIPs.",
        mend="Check the path, and that you may read it.",
        arguments=("missing.conf",),
    ),
    error(
        "DV202",
        "The path is a directory, a pipe or a device, not a file.",
        why="A pipe may never end, and a device never does.",
        mend="Name a file.",
        arguments=(".",),
    ),
    error(
        "DV203",
        "The file, or a line of it, is larger than any configuration may be.",
        why="10,240 Bindings take about a megabyte. Something a hundred times as large is another file.",
        mend="Is it the right file? Else split what it says over several nodes' files, or ask for a higher limit.",
    ),
    error(
        "DV204",
        "The file is not text in UTF-8.",
        why="A name in another encoding would be another name, and names are compared byte by byte across the cluster.",
        mend="Save the file as UTF-8: `iconv -f latin1 -t utf-8`.",
    ),
    error(
        "DV205",
        "No installed plugin reads this kind of file.",
        why="The languages are plugins; without one nothing can be read.",
        mend="`duravip plugins` says which are installed, and what is wrong with those that could not be loaded.",
    ),
    error(
        "DV206",
        "What is included does not exist, or is no file.",
        why="Leaving out what it names would leave out VIPs.",
        mend="The message names the chain of includes, and the hint says where was looked: beside the including file, "
        "then along the search path.",
        example='include "bindings.conf"\n',
    ),
    error(
        "DV207",
        "The plugin that should have read the file has failed.",
        why="It is a bug in the plugin: whatever stands in a file, a parser answers with diagnostics.",
        mend="`duravip plugins` says whose it is: report it there.",
    ),
    error(
        "DV208",
        "A file includes itself, perhaps through others.",
        why="There would be no end to it.",
        mend="The message names the chain: take one of its includes out.",
        example='include "node1.conf"\n',
    ),
    error(
        "DV209",
        "The file changes while it is read.",
        why="Half of the old and half of the new text is neither.",
        mend="Try again when it has been written. Write to another file and rename it: then there is no half.",
    ),
    error(
        "DV210",
        "More files are included than any configuration needs; the rest is left out.",
        why="Such a tree is no configuration, and reading it to its end would only cost time and memory.",
        mend="Look which file includes so many; a folder stands for all files in it.",
    ),
)
