import io
import logging
import re

from duravip.runtime.log import logging_to


def test_lines_bear_time_and_level_and_are_written_when_the_log_ends() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        logging.getLogger("duravip").info("ready %d", 1)
        logging.getLogger("duravip").warning("look")
    assert [re.sub(r"^[\d-]{10} [\d:.]{12} ", "T ", line) for line in stream.getvalue().splitlines()] == [
        "T INFO ready 1",
        "T WARNING look",
    ]


class Unwilling(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_ends_nothing() -> None:
    with logging_to(Unwilling()):
        logging.getLogger("duravip").info("ready")
        logging.getLogger("duravip").info("still here")


def test_the_logger_is_as_before_afterwards() -> None:
    logger = logging.getLogger("duravip")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with logging_to(io.StringIO()):
        assert logger.handlers != before[2]
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
