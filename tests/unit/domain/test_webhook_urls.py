"""URLs that a webhook may have, and which addresses are public."""

from __future__ import annotations

import pytest

from pizza.domain.webhooks import InvalidUrl, WebhookUrl, is_public, parse_url

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.255.255",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",  # IPv4-mapped
    "64:ff9b::808:808",  # the same through NAT64
]
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "192.88.99.1",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1",
    "2001:db8::1", "100::1", "2001::1", "::7f00:1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
    "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1",
    "localhost", "", "2130706433", "0x7f.1", "127.1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://a.example", WebhookUrl("https", "a.example", 443, "/"), "a.example"),
        ("https://A.example/x?y=1", WebhookUrl("https", "a.example", 443, "/x?y=1"), "a.example"),
        ("http://a:8080/", WebhookUrl("http", "a", 8080, "/"), "a:8080"),
        ("https://[2606::1]:443/h", WebhookUrl("https", "2606::1", 443, "/h"), "[2606::1]"),
        ("https://8.8.8.8:80", WebhookUrl("https", "8.8.8.8", 80, "/"), "8.8.8.8:80"),
    ],
)
def test_a_url_is_parsed(url: str, target: WebhookUrl, authority: str) -> None:
    assert parse_url(url) == target
    assert target.authority == authority
    assert bool(target.address) == target.host[0].isdigit()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "characters long"),
        ("https://a.example/" + "x" * 2000, "characters long"),
        ("https://a.example/a b", "printable ASCII"),
        ("https://a.example/\r\nHost: b", "printable ASCII"),
        ("https://zoë.example", "printable ASCII"),
        ("ftp://a.example", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("a.example", "must begin with"),
        ("https://user:pass@a.example", "user or a password"),
        ("https://a.example#x", "fragment"),
        ("https://", "no host"),
        ("https://a..b", "no host"),
        ("https://-/", "no host"),
        ("https://a.example:0", "no host"),
        ("https://a.example:99999", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://[fe80::1%25eth0]/", "no"),
    ],
)
def test_what_can_be_no_webhook_is_refused(url: str, why: str) -> None:
    with pytest.raises(InvalidUrl, match=why):
        parse_url(url)


def test_http_is_refused_where_it_is_not_allowed() -> None:
    with pytest.raises(InvalidUrl, match=r"must begin with https://$"):
        parse_url("http://a.example", ("https",))
