import pytest

from tickdeck.cassette.wire import HEADER_SIZES, frame_header


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
    ],
)
def test_the_header_of_a_text_frame_is_as_rfc_6455_says(length: int, header: str) -> None:
    assert frame_header(1, length).hex() == header
    assert len(header) // 2 in HEADER_SIZES
