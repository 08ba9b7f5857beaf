"""Addresses of mail servers and of people: what is taken, what is not, and that no refusal tells the password."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.mail.mail_addresses import Encryption, SmtpServer, read_mail_addresses, read_smtp_url

PRINTABLE = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtp://relay.example", SmtpServer("relay.example", 25, Encryption.NONE, None, None)),
        ("smtp://relay.example:2525/", SmtpServer("relay.example", 2525, Encryption.NONE, None, None)),
        ("smtp://relay.example?starttls", SmtpServer("relay.example", 587, Encryption.STARTTLS, None, None)),
        ("smtps://a:b@relay.example", SmtpServer("relay.example", 465, Encryption.TLS, "a", "b")),
        ("smtp://a:b@127.0.0.1:1025", SmtpServer("127.0.0.1", 1025, Encryption.NONE, "a", "b")),
        ("smtp://a:b@[::1]:1025", SmtpServer("::1", 1025, Encryption.NONE, "a", "b")),
    ],
)
def test_an_address_of_a_server(text: str, expected: SmtpServer) -> None:
    assert read_smtp_url(text) == expected


@given(PRINTABLE, PRINTABLE)
def test_any_user_and_password_can_be_encoded(user: str, password: str) -> None:
    found = read_smtp_url(f"smtp://{quote(user, safe='')}:{quote(password, safe='')}@h.example?starttls")
    assert (found.user, found.password) == (user, password)


@pytest.mark.parametrize(
    "text",
    [
        *("", "relay.example", "http://relay.example", "smtp://", "smtp://h/path", "smtp://h#x", "smtp://h:0"),
        *("smtp://h:99999", "smtp://h?tls", "smtp://h?starttls=1", "smtps://h?starttls", "smtp://geheim@h?starttls"),
        *("smtp://:geheim@h?starttls", "smtp://a:geheim@h", "smtp://a:geheim%0d%0aX@h?starttls", "smtp://[::1"),
        *("smtp://a:geheim%C3%A9@h?starttls", "smtp://%C3%A9:geheim@h?starttls"),
    ],
)
def test_what_is_no_address_of_a_server(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read_smtp_url(text)
    assert "geheim" not in str(refused.value)


def test_addresses_of_people() -> None:
    assert read_mail_addresses("") == ()
    assert read_mail_addresses("a.b+c@x-y.example, d@example ") == ("a.b+c@x-y.example", "d@example")


@pytest.mark.parametrize(
    "text",
    [
        *("a", "a@", "@b", "a b@c", "a@b,", "a@b,,c@d", "a@b;c@d", "A <a@b>", "a@b, A@B", "a@-b", "a..b@c", ".a@b"),
        *("a@b\r\nBcc: x@y", "\u00e4@b", f"{'a' * 250}@b.example", ",".join(f"a{n}@b" for n in range(51))),
    ],
)
def test_what_is_no_address_of_people(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_mail_addresses(text)
