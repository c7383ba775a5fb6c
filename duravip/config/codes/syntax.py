"""DV1xx: what stands there is not the language it should be."""

from __future__ import annotations

from duravip.config.codes.code import error

CODES = (
    error(
        "DV101",
        "A quoted string is not closed.",
        why="Everything up to the end of the file would be part of the string, so nothing after it can be read.",
        mend='The place is where the string opens: write its closing quote. A quote inside a string is written `\\"`.',
        example='Binding "mail {\n  bind_address = 10.1.1.51\n}\n',
    ),
    error(
        "DV102",
        "A /* comment is not closed.",
        why="The rest of the file would be comment, and silently not there.",
        mend="Write `*/` where it ends. Such comments do not nest: the first `*/` ends it.",
        example="/* the old listeners\nBinding mail { bind_address = 10.1.1.51 }\n",
    ),
    error(
        "DV103",
        "A stanza or a bracket is not closed.",
        why="What follows would stand inside it, and mean something else there.",
        mend="The place is where it opens: write the closing sign where it should end.",
        example="Binding mail {\n  bind_address = 10.1.1.51\n",
    ),
    error(
        "DV104",
        "An option has an equals sign and no value.",
        why="The next option would be taken for the value.",
        mend='Write the value; one that is empty on purpose is written `""`.',
        example="Binding mail {\n  bind_address =\n  enable_duravip = true\n}\n",
    ),
    error(
        "DV105",
        "A word or sign stands where the language has no place for it.",
        why="Leaving it out would be a guess at what was meant.",
        mend="Quote names and values that hold white space; there are no commas and no semicolons between items.",
        example="Binding outbound mail { bind_address = 10.1.1.51 }\n",
    ),
    error(
        "DV106",
        "A bracket is closed that was never opened.",
        why="A stanza probably ended before it should have, and what was meant for it stands outside.",
        mend="Count the brackets above the place: one is too many, or an opening one is missing.",
        example="Binding mail { bind_address = 10.1.1.51 }\n}\n",
    ),
    error(
        "DV107",
        "Stanzas or values are nested deeper than any configuration needs; reading stopped there.",
        why="Such a text is no configuration, and reading it to its end would only cost time and memory.",
        mend="Is it the right file? A generator that repeats itself is the usual cause.",
    ),
    error(
        "DV108",
        "A value holds a sign that may only stand inside double quotes.",
        why="Momentum's language has no single quotes: they would be part of the value.",
        mend='Write the value in double quotes: `"..."`.',
        example="Binding mail { bind_address = '10.1.1.51' }\n",
    ),
    error(
        "DV109",
        "There are so many syntax errors that reading stopped.",
        why="With a hundred of them the text is probably in another language, and the rest would be noise.",
        mend="Mend the first ones and check again; or is it the wrong file, or one with the wrong ending?",
    ),
    error(
        "DV110",
        "The text is not valid TOML.",
        why="TOML says nothing about how to go on after a mistake, so nothing of the file is used.",
        mend="The message is the TOML reader's own. Texts are quoted, keys are not, each key stands once.",
        example="--- node1.toml\n[cluster]\nnodename = node1\n",
    ),
    error(
        "DV111",
        "A TOML table does not have the shape or the key that its section needs.",
        why="A Binding without a name, or a listener without an address, is none.",
        mend="Write the key that the hint names. [The options](options.md) have every section and its keys.",
        example='--- node1.toml\n[[binding]]\nbind_address = "10.1.1.51"\n',
    ),
)
