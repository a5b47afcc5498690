"""Keys, rates and origins."""

from __future__ import annotations

import pytest

from binsight.serving.security import (
    ApiKey,
    RateLimiter,
    client_network,
    cors_headers,
    find_key,
    is_own_page,
    new_key,
    presented_key,
)


def test_a_new_key_is_found_by_its_hash_and_no_other_is():
    """The server stores a hash, and only the key itself matches it."""
    key, stored = new_key("phone")
    assert key not in repr(stored)
    assert find_key(key, [ApiKey("other", "0" * 64), stored]) == "phone"
    assert find_key(key + "x", [stored]) is None
    assert find_key("", [stored]) is None


def test_a_presented_key_of_any_characters_is_merely_wrong():
    """Nothing that a header can hold raises."""
    assert find_key("\udcff\x00ü", [new_key("a")[1]]) is None


@pytest.mark.parametrize("line", ["", "name", "name:abc", "name:" + "G" * 64, "na me:" + "0" * 64])
def test_a_malformed_key_line_is_refused_without_repeating_it(line):
    """The line might be the key itself; it must not end up in a log."""
    with pytest.raises(ValueError, match="name:sha256") as caught:
        ApiKey.parse(line + " secret")
    assert "secret" not in str(caught.value)


def test_a_key_is_taken_from_either_header():
    """`Authorization: Bearer` goes before `X-API-Key`; other schemes are passed over."""
    assert presented_key("Bearer abc", "") == "abc"
    assert presented_key("bearer abc", "def") == "abc"
    assert presented_key("Basic abc", "def") == "def"
    assert presented_key("", "") == ""


def test_a_client_may_burst_and_then_keeps_to_its_rate():
    """Two at once, then one for every half second that passed."""
    now = 0.0
    limiter = RateLimiter(2, 2, clock=lambda: now)
    assert [limiter.wait_s("a") for _ in range(3)] == [0, 0, 0.5]
    assert limiter.wait_s("b") == 0
    now = 0.5
    assert [limiter.wait_s("a"), limiter.wait_s("a")] == [0, 0.5]


def test_the_table_of_clients_does_not_grow_without_end():
    """The client longest unseen is forgotten."""
    limiter = RateLimiter(1, 1, max_clients=2, clock=lambda: 0.0)
    for client in "abc":
        limiter.wait_s(client)
    assert limiter.wait_s("c") > 0
    assert limiter.wait_s("a") == 0


def test_one_customer_s_ipv6_addresses_are_one_client():
    """A /64 counts as one; IPv4 addresses each for themselves; anything else is cut to a length."""
    assert client_network("2001:db8::1") == client_network("2001:db8::ffff:1") != client_network("2001:db8:0:1::1")
    assert client_network("192.0.2.1") != client_network("192.0.2.2")
    assert len(client_network("x" * 1000)) == 64


def test_ipv4_clients_of_a_socket_for_both_are_told_apart():
    """They come as IPv4-mapped addresses, all of which lie in one /64."""
    assert client_network("::ffff:192.0.2.1") == client_network("192.0.2.1")
    assert client_network("::ffff:192.0.2.1") != client_network("::ffff:192.0.2.2")


def test_link_local_clients_are_told_apart():
    """All of a network's machines have theirs in fe80::/64."""
    assert client_network("fe80::1%eth0") != client_network("fe80::2%eth0")


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [("192.0.2.1:5000", "192.0.2.1"), ("[2001:db8::1]:5000", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1")],
)
def test_a_port_does_not_make_another_client(forwarded, address):
    """Some proxies forward it; each connection would have a bucket of its own."""
    assert client_network(forwarded) == client_network(address)


@pytest.mark.parametrize(
    ("site", "origin", "host", "expected"),
    [
        (None, None, "a.example", True),  # no browser
        (None, "https://a.example", "a.example", True),
        (None, "http://a.example:81", "a.example:81", True),
        (None, "https://A.example", "a.example", True),
        (None, "https://b.example", "a.example", False),
        (None, "null", "a.example", False),
        (None, "http://[", "a.example", False),
        (None, "http://", "", True),
        (None, "", "", False),
        ("same-origin", "https://a.example", "127.0.0.1:9696", True),  # a proxy that does not pass Host
        ("none", None, "a.example", True),  # typed in by the user
        ("same-site", "https://b.a.example", "a.example", False),
        ("cross-site", "https://b.example", "b.example", False),
        ("nonsense", "https://a.example", "a.example", False),
        ("cross-site", "https://listed.example", "a.example", True),
    ],
)
def test_only_own_and_listed_pages_may_change_something(site, origin, host, expected):
    """The browser's word goes before a comparison with Host."""
    assert is_own_page(site, origin, host, ("https://listed.example",)) is expected


def test_only_listed_origins_may_read_answers():
    """An origin not listed gets no permission, and caches are told that the answer depends on it."""
    allowed = ("https://a.example",)
    assert cors_headers("https://a.example", allowed, preflight=False)["Access-Control-Allow-Origin"] == allowed[0]
    assert cors_headers("https://a.example.evil", allowed, preflight=True) == {"Vary": "Origin"}
    assert cors_headers(None, allowed, preflight=False) == {"Vary": "Origin"}
    assert cors_headers("https://a.example", (), preflight=True) == {}


def test_a_preflight_is_told_methods_and_headers():
    """And with `*` the answer is the same for all origins."""
    headers = cors_headers("https://any.example", ("*",), preflight=True)
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
