"""Where callbacks may go: however an address is written, the same answer."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.callback_address import ALWAYS_DENIED, MAX_ENTRIES, CallbackPolicy
from service.domain.callback_url import MAX_URL
from service.domain.errors import CallbackDenied, InvalidInput

EVERYWHERE = CallbackPolicy.parse("0.0.0.0/0 ::/0 *.internal hooks.example")
"""The widest list there is; what it refuses, every list refuses."""

LOOPBACK_OPEN = CallbackPolicy.parse("127.0.0.0/8 ::1")

SPELLINGS_OF_LOOPBACK = [
    "127.0.0.1",
    "127.0.0.1.",
    "2130706433",
    "2130706433.",
    "017700000001",
    "0x7f000001",
    "0X7F000001",
    "0x7F000001",
    "0x00000000007f000001",
    "0177.0.0.1",
    "0000177.0.0.01",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7f.0x1",
    "0x7f.0x0.0x0.0x1",
    "0x7f.0x.0x.1",
    "127.1",
    "127.0.1",
    "127.0x1",
    "0177.1",
    "0177.0x0.1",
    "127.00.0x0.01",
    "127.1.",
    "１２７.0.0.1",  # noqa: RUF001 fullwidth digits
    "127。0。0。1",
    "127．0．0．1",  # noqa: RUF001 fullwidth full stop
    "127｡0｡0｡1",
    "①②⑦.0.0.①",
    "⑫7.0.0.1",
    "𝟏𝟐𝟕.𝟎.𝟎.𝟏",  # noqa: RUF001 mathematical digits
    "¹²⁷.⁰.⁰.¹",
    "２１３０７０６４３３",  # noqa: RUF001
    "０ｘ７ｆ．１",  # noqa: RUF001
    "0ⓧ7ⓕ.1",
    "127.0.0.1\u3002",
]

SPELLINGS_EMBEDDING_LOOPBACK = [
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:7F00:0001]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[0000:0000:0000:0000:0000:ffff:7f00:0001]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[64:ff9b:1:abcd::7f00:1]",
    "[64:ff9b:1:7f00:0:100::]",
    "[2002:7f00:1::]",
    "[2002:7f00:1:1::5]",
    "[2001:0:7f00:1::]",
    "[2001:0:808:808:0:0:80ff:fffe]",
]

OTHER_DENIED = [
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::0.0.0.1]",
    "[::]",
    "0",
    "0.0.0.0",  # noqa: S104
    "0x",
    "0.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "169.254.1.1",
    "[fe80::1]",
    "[febf::1]",
    "224.0.0.1",
    "239.255.255.250",
    "[ff02::1]",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    "0xffffffff",
    "[::ffff:255.255.255.255]",
]

UNREADABLE = [
    "",
    "hooks.example",
    "//hooks.example/",
    "ftp://hooks.example/",
    "file:///etc/passwd",
    "httpſ://hooks.example/",  # noqa: RUF001 a long s, which is an s to a careless comparison
    "https:hooks.example",
    "https:/hooks.example",
    "https:///hooks.example",
    "https://",
    "https://?x",
    "https://:443/",
    "https://./",
    "https://..",
    "https://a..internal/",
    "https://.a.internal/",
    "https://a.internal../",
    "https://user@hooks.example/",
    "https://user:password@hooks.example/",
    "https://@hooks.example/",
    "https://hooks.example@127.0.0.1/",
    "https://127.0.0.1\uff20hooks.example/",
    "https://hooks.example\\@127.0.0.1/",
    "https:\\\\hooks.example/",
    "https://hooks.example\\path",
    "https://hooks.example/\\path",
    "https://hooks.example/#fragment",
    "https://hooks.example#@127.0.0.1/",
    "https://hooks.example/ path",
    " https://hooks.example/",
    "https://hooks.example/\n",
    "ht\ntps://hooks.example/",
    "https://hooks\t.example/",
    "https://hooks.example/\r\nHost: x",
    "https://hooks.example/\x00",
    "https://hooks.example/\x7f",
    "https://hooks.example/\u2028",
    "https://hooks.example/\u00a0",
    "https://hooks.example/\ud800",
    "https://hooks\u200b.example/",
    "https://hooks\u00ad.example/",
    "https://%68ooks.example/",
    "https://127.0.0.1%2f.hooks.example/",
    "https://hooks.example%00.internal/",
    "https://[fd00::1%25eth0]/",
    "https://[fd00::1%eth0]/",
    "https://[fd00::1/",
    "https://fd00::1/",
    "https://[hooks.example]/",
    "https://[10.0.0.1]/",
    "https://[]/",
    "https://[v1.fe80]/",
    "https://[fd00::1]x/",
    "https://x[fd00::1]/",
    "https://hooks.example:0/",
    "https://hooks.example:65536/",
    "https://hooks.example:-1/",
    "https://hooks.example:+443/",
    "https://hooks.example:/",
    "https://hooks.example:443:443/",
    "https://hooks.example:４４３/",  # noqa: RUF001
    "https://hooks.example:4_3/",
    "https://hooks.example;x/",
    "https://hooks,example/",
    "https://hooks!.internal/",
    "https://*.internal/",
    "https://-a.internal/",
    "https://a-.internal/",
    "https://" + "a" * 64 + ".internal/",
    "https://" + "a." * 123 + "internal/",
    "https://" + "é" * 60 + ".internal/",
    "https://xn--zzzz.internal/",
    "https://a\u2100b.internal/",
    "https://10.0.0.08/",
    "https://10.0.0.256/",
    "https://256.0.0.1/",
    "https://10.0.0.0.1/",
    "https://4294967296/",
    "https://0x100000000/",
    "https://10.0x1ffffff/",
    "https://hooks.1/",
    "https://hooks.0x1/",
    "https://hooks.example/" + "a" * MAX_URL,
]


def test_the_tables_are_what_they_say() -> None:
    """The tables have no row twice, so their length says how much is tried."""
    for table in (SPELLINGS_OF_LOOPBACK, SPELLINGS_EMBEDDING_LOOPBACK, OTHER_DENIED, UNREADABLE):
        assert len(set(table)) == len(table)


@pytest.mark.parametrize("host", SPELLINGS_OF_LOOPBACK)
def test_every_spelling_of_an_ipv4_address_is_that_address(host: str) -> None:
    """A spelling is denied where the address is, allowed where it is, and called in the plain form."""
    with pytest.raises(CallbackDenied, match="loopback"):
        EVERYWHERE.check_url(f"https://{host}:8443/hook")
    target = LOOPBACK_OPEN.check_url(f"http://{host}:8443/hook?a=1")
    assert target.url == "http://127.0.0.1:8443/hook?a=1"
    assert (target.scheme, target.host, target.port) == ("http", "127.0.0.1", 8443)
    assert target.address == IPv4Address("127.0.0.1")


@pytest.mark.parametrize("host", SPELLINGS_EMBEDDING_LOOPBACK)
def test_an_address_inside_an_ipv6_address_counts(host: str) -> None:
    """What a translator or tunnel would turn into a denied address is denied, at both moments of the decision."""
    with pytest.raises(CallbackDenied, match="loopback"):
        EVERYWHERE.check_url(f"https://{host}/")
    named = EVERYWHERE.check_url("https://hooks.example/")
    with pytest.raises(CallbackDenied, match="loopback"):
        EVERYWHERE.check_address(named, host.strip("[]"))


@pytest.mark.parametrize("host", OTHER_DENIED)
def test_denied_ranges_are_shut_to_the_widest_list(host: str) -> None:
    """Listing all addresses there are opens no range that is always denied, and the text says who could."""
    with pytest.raises(CallbackDenied, match=r"always denied unless BREAKWATER_CALLBACK_ALLOW names it"):
        EVERYWHERE.check_url(f"https://{host}/")


@pytest.mark.parametrize("url", UNREADABLE)
def test_what_parsers_may_read_in_two_ways_is_refused(url: str) -> None:
    """A URL that is malformed, ambiguous or carries more than an address is refused, not repaired."""
    with pytest.raises(CallbackDenied) as refused:
        EVERYWHERE.check_url(url)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("url", "called", "host", "port"),
    [
        ("https://hooks.example", "https://hooks.example/", "hooks.example", 443),
        ("HTTPS://Hooks.Example./A/b?C=d%20e", "https://hooks.example/A/b?C=d%20e", "hooks.example", 443),
        ("https://hooks.example?x=@y/z", "https://hooks.example/?x=@y/z", "hooks.example", 443),
        ("https://hooks.example:0443/", "https://hooks.example/", "hooks.example", 443),
        ("https://hooks.example:80/", "https://hooks.example:80/", "hooks.example", 80),
        ("https://a_b.c-1.internal:8443/@x", "https://a_b.c-1.internal:8443/@x", "a_b.c-1.internal", 8443),
        ("https://Bücher.internal/é", "https://xn--bcher-kva.internal/é", "xn--bcher-kva.internal", 443),
        ("https://XN--bcher-kva.internal/", "https://xn--bcher-kva.internal/", "xn--bcher-kva.internal", 443),
        ("https://ｈｏｏｋｓ。example/", "https://hooks.example/", "hooks.example", 443),  # noqa: RUF001
        ("https://1.2.3.internal/", "https://1.2.3.internal/", "1.2.3.internal", 443),
        ("https://" + "a" * 63 + ".internal/", "https://" + "a" * 63 + ".internal/", "a" * 63 + ".internal", 443),
        ("http://[FD00:0:0::0A]:65535/", "http://[fd00::a]:65535/", "fd00::a", 65535),
        ("http://012.1/", "http://10.0.0.1/", "10.0.0.1", 80),
    ],
)
def test_what_is_called_has_the_host_that_was_checked(url: str, called: str, host: str, port: int) -> None:
    """An allowed URL comes back with its host normalised and the rest untouched, and reads the same again."""
    target = EVERYWHERE.check_url(url)
    assert (target.url, target.host, target.port) == (called, host, port)
    assert EVERYWHERE.check_url(target.url) == target


@pytest.mark.parametrize("text", ["", "  ", ",\n,"])
def test_an_unset_list_allows_nothing_and_names_the_setting(text: str) -> None:
    """Without a list nothing may be called, and the refusal says what to set."""
    for url in ("https://hooks.example/", "https://10.0.0.1/"):
        with pytest.raises(CallbackDenied, match=r"nothing is allowed: BREAKWATER_CALLBACK_ALLOW is empty"):
            CallbackPolicy.parse(text).check_url(url)


def test_a_host_that_is_not_listed_is_refused_with_the_setting() -> None:
    """The refusal of a host or of an address names it, and the list that does not have it."""
    with pytest.raises(CallbackDenied, match=r"host 'other.example' is not in BREAKWATER_CALLBACK_ALLOW"):
        CallbackPolicy.parse("hooks.example").check_url("https://other.example/")
    with pytest.raises(CallbackDenied, match=r"address 11.0.0.1 is not in BREAKWATER_CALLBACK_ALLOW"):
        CallbackPolicy.parse("10.0.0.0/8").check_url("https://11.0.0.1/")


@pytest.mark.parametrize(
    ("pattern", "host", "allowed"),
    [
        ("hooks.example", "hooks.example", True),
        ("HOOKS.Example.", "hooks.example", True),
        ("hooks.example", "a.hooks.example", False),
        ("hooks.example", "xhooks.example", False),
        ("*.svc.cluster.local", "a.svc.cluster.local", True),
        ("*.svc.cluster.local", "a.b.svc.cluster.local", True),
        ("*.svc.cluster.local", "svc.cluster.local", False),
        ("*.svc.cluster.local", "asvc.cluster.local", False),
        ("*.svc.cluster.local", "a.svc.cluster.local.example", False),
        ("*.bücher.example", "a.xn--bcher-kva.example", True),
        ("hooks.example", "10.0.0.1", False),
    ],
)
def test_a_star_stands_for_one_or_more_labels(pattern: str, host: str, allowed: bool) -> None:
    """A name matches itself, a star every name below, and neither anything that only looks alike."""
    policy = CallbackPolicy.parse(pattern)
    if allowed:
        policy.check_address(policy.check_url(f"https://{host}/"), "10.0.0.1")
    else:
        with pytest.raises(CallbackDenied):
            policy.check_url(f"https://{host}/")


def test_a_listed_name_may_lead_anywhere_that_is_not_denied() -> None:
    """A host pattern allows every address the name resolves to, the denied ranges excepted."""
    policy = CallbackPolicy.parse("hooks.example")
    target = policy.check_url("https://hooks.example/")
    for address in ("10.1.2.3", "203.0.113.9", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"):
        policy.check_address(target, address)
    for address in ("127.0.0.1", "::1", "169.254.169.254", "::ffff:0.0.0.0", "fe80::1%eth0", "127.1", "", "hooks"):
        with pytest.raises(CallbackDenied):
            policy.check_address(target, address)


def test_a_name_allowed_by_networks_alone_must_stay_inside_them() -> None:
    """A name no pattern matches goes by its addresses, each of which must be in a listed network."""
    policy = CallbackPolicy.parse("10.20.0.0/16, fd12::/16, hooks.example")
    target = policy.check_url("http://receiver.team-a.example/")
    for address in ("10.20.0.1", "::ffff:10.20.0.1", "fd12::1"):
        policy.check_address(target, address)
    for address in ("10.21.0.1", "::ffff:10.21.0.1", "fd13::1", "64:ff9b::10.20.0.1", "2002:a14:1::"):
        with pytest.raises(CallbackDenied, match=r"is not in BREAKWATER_CALLBACK_ALLOW"):
            policy.check_address(target, address)


def test_all_of_ipv6_is_not_all_of_ipv4() -> None:
    """A mapped address is called by IPv4, so only an IPv4 entry, or a mapped one, allows it."""
    with pytest.raises(CallbackDenied):
        CallbackPolicy.parse("::/0").check_url("https://[::ffff:10.0.0.1]/")
    for text in ("10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:10.0.0.1"):
        for host in ("10.0.0.1", "[::ffff:10.0.0.1]"):
            CallbackPolicy.parse(text).check_url(f"https://{host}/")


def test_plain_http_goes_to_networks_and_marked_names_only() -> None:
    """A name needs the http: mark or a network around its addresses; https needs neither."""
    policy = CallbackPolicy.parse("http:plain.example secure.example http:*.lan")
    for url in ("http://plain.example/", "https://plain.example/", "https://secure.example/", "http://a.lan/"):
        policy.check_address(policy.check_url(url), "10.0.0.1")
    with pytest.raises(CallbackDenied, match=r"allowed for https only: BREAKWATER_CALLBACK_ALLOW has no http: mark"):
        policy.check_url("http://secure.example/")

    networks = CallbackPolicy.parse("http:10.0.0.0/8 fd12::1 secure.example")
    networks.check_url("http://10.0.0.1/")
    networks.check_url("http://[fd12::1]/")
    target = networks.check_url("http://secure.example/")
    networks.check_address(target, "10.0.0.1")
    with pytest.raises(CallbackDenied, match="https only"):
        networks.check_address(target, "11.0.0.1")


def test_only_a_network_within_a_denied_range_opens_it() -> None:
    """The global list opens what it names outright, for literals and for names that lead there, and no more."""
    policy = CallbackPolicy.parse("127.0.0.1 169.254.0.0/16 hooks.example 0.0.0.0/0")
    for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "169.254.1.1"):
        policy.check_url(f"http://{host}:9000/")
    policy.check_address(policy.check_url("https://hooks.example/"), "127.0.0.1")
    for host in ("127.0.0.2", "169.254.169.254", "0.0.0.0", "[::1]"):  # noqa: S104
        with pytest.raises(CallbackDenied, match="always denied"):
            policy.check_url(f"http://{host}/")
    CallbackPolicy.parse("169.254.0.0/16 169.254.169.254").check_url("http://169.254.169.254/")


def test_our_own_redis_is_denied_whatever_the_list_says() -> None:
    """Its host or address with its port is shut in every spelling; another port of the same machine is not."""
    own = frozenset({("10.0.0.5", 6379), ("Redis.internal.", 6379), ("fd12:0::5", 6380), ("redis", 26379)})
    policy = CallbackPolicy.parse("10.0.0.0/8 fd12::/16 http:*.internal redis 64:ff9b::/96", own)
    denied = ["10.0.0.5:6379", "0xa000005:6379", "[::ffff:10.0.0.5]:6379", "[64:ff9b::a00:5]:6379"]
    denied += ["REDIS.internal:6379", "redis.internal.:6379", "[fd12::0:5]:6380", "redis:26379"]
    for tenant in (policy, policy.replaced_by("0.0.0.0/0 ::/0 *.internal redis")):
        for authority in denied:
            with pytest.raises(CallbackDenied, match="own Redis"):
                tenant.check_url(f"https://{authority}/")
        with pytest.raises(CallbackDenied, match="own Redis"):
            tenant.check_address(tenant.check_url("https://alias.internal:6379/"), "10.0.0.5")
        for authority in ("10.0.0.5:8080", "10.0.0.6:6379", "redis.internal:80", "[fd12::5]:6379"):
            tenant.check_url(f"https://{authority}/")


@pytest.mark.parametrize("own", ["127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0", "::ffff:127.0.0.1"])  # noqa: S104
def test_a_redis_on_this_machine_is_denied_by_every_loopback_address(own: str) -> None:
    """Loopback in any form is one machine, so its Redis port is shut on all of it and its other ports are not."""
    policy = CallbackPolicy.parse("127.0.0.0/8 ::1 0.0.0.0 :: localhost", frozenset({(own, 6379)}))
    for host in ("127.0.0.1", "127.1.2.3", "[::1]", "0", "[::]", "localhost", "[::ffff:127.0.0.1]"):
        with pytest.raises(CallbackDenied, match="own Redis"):
            policy.check_url(f"https://{host}:6379/")
        policy.check_url(f"https://{host}:6380/")


def test_a_tenants_list_replaces_the_global_one() -> None:
    """A tenant's list says where its callbacks go; having none leaves the global list, an empty one allows nothing.

    Which always-denied ranges are open stays what the global list says: its names may lead there, and nowhere else.
    """
    policy = CallbackPolicy.parse("hooks.example 127.0.0.1")
    assert policy.replaced_by(None) is policy
    tenant = policy.replaced_by("*.team-a.example localhost")
    tenant.check_address(tenant.check_url("https://x.team-a.example/"), "10.0.0.1")
    with pytest.raises(CallbackDenied, match=r"is not in the tenant's callback_allow"):
        tenant.check_url("https://hooks.example/")
    with pytest.raises(CallbackDenied, match=r"is not in the tenant's callback_allow"):
        tenant.check_url("https://127.0.0.1/")
    tenant.check_address(tenant.check_url("https://localhost/"), "127.0.0.1")
    with pytest.raises(CallbackDenied, match="loopback"):
        tenant.check_address(tenant.check_url("https://localhost/"), "127.0.0.2")
    with pytest.raises(CallbackDenied, match=r"the tenant's callback_allow is empty"):
        policy.replaced_by("").check_url("https://hooks.example/")


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "10.0.0.0/8,::1", "::ffff:127.0.0.0/104", *(str(network) for network, _ in ALWAYS_DENIED)]
)
def test_a_tenants_list_cannot_name_a_denied_range(text: str) -> None:
    """Only the global list can open such a range, and the refusal of a tenant's says so."""
    with pytest.raises(InvalidInput, match="BREAKWATER_CALLBACK_ALLOW") as refused:
        CallbackPolicy.parse("127.0.0.0/8 ::1").replaced_by(text)
    assert [error.field for error in refused.value.errors] == ["callback_allow"]


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.1",
        "0x7f.1",
        "2130706433",
        "010.0.0.1",
        "１０.0.0.1",  # noqa: RUF001
        "fd00::1%eth0",
        "[fd00::1]",
        "https://hooks.example/",
        "http://hooks.example",
        "https:hooks.example",
        "hooks.example:8080",
        "hooks.example/path",
        "user@hooks.example",
        "*",
        "*.",
        "*hooks.example",
        "a.*.example",
        "*.*.example",
        "http:",
        "a..b",
        "a" * 64,
    ],
)
def test_a_wrong_entry_is_named(entry: str) -> None:
    """A list with one wrong entry is refused as a whole, by a text that quotes that entry."""
    with pytest.raises(ValueError, match="is no network, address or host pattern") as wrong:
        CallbackPolicy.parse(f"10.0.0.0/8, {entry}")
    assert repr(entry) in str(wrong.value)
    with pytest.raises(InvalidInput, match="callback_allow: entry"):
        EVERYWHERE.replaced_by(entry)


def test_a_list_has_an_end() -> None:
    """A list is looked through at each callback, so its length is bounded."""
    CallbackPolicy.parse("a.example " * MAX_ENTRIES)
    with pytest.raises(ValueError, match=f"at most {MAX_ENTRIES}"):
        CallbackPolicy.parse("a.example " * (MAX_ENTRIES + 1))


def _spelled(draw: st.DrawFn, number: int) -> str:
    """Write one number in a random base, with random zeros before it."""
    zeros = "0" * draw(st.integers(0, 3))
    return draw(st.sampled_from([str(number), f"0{zeros}{number:o}", f"0x{zeros}{number:x}", f"0X{zeros}{number:X}"]))


@st.composite
def spelled_ipv4(draw: st.DrawFn, address: IPv4Address) -> str:
    """Any host that means `address`: one to four numbers in any base, any script's digits and dots, or inside IPv6."""
    number = int(address)
    if draw(st.booleans()):
        inside = [0xFFFF << 32, 0x64FF9B << 96, 0x64FF9B0001 << 80]
        shape = draw(st.sampled_from([*(IPv6Address(prefix | number) for prefix in inside), None]))
        outer = shape or IPv6Address(0x2002 << 112 | number << 80 | draw(st.integers(0, 2**80 - 1)))
        return f"[{draw(st.sampled_from([outer.compressed, outer.exploded, outer.exploded.upper()]))}]"
    count = draw(st.integers(0, 3))
    parts = [_spelled(draw, number >> (24 - 8 * place) & 255) for place in range(count)]
    parts.append(_spelled(draw, number & (256 ** (4 - count) - 1)))
    digits = draw(st.sampled_from(["0123456789", "０１２３４５６７８９", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"]))  # noqa: RUF001
    text = draw(st.sampled_from(".。．｡")).join(parts).translate(dict(zip(map(ord, "0123456789"), digits, strict=True)))  # noqa: RUF001
    return text + draw(st.sampled_from(["", "."]))


DENIED_IPV4 = [network for network, _ in ALWAYS_DENIED if network.version == 4]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_spelling_of_a_denied_address_gets_through(data: st.DataObject) -> None:
    """However a denied address is written, neither the widest list nor a tenant's lets it pass."""
    network = data.draw(st.sampled_from(DENIED_IPV4))
    address = IPv4Address(int(network[0]) + data.draw(st.integers(0, network.num_addresses - 1)))
    url = f"https://{data.draw(spelled_ipv4(address))}/"
    for policy in (EVERYWHERE, EVERYWHERE.replaced_by("0.0.0.0/0 ::/0")):
        with pytest.raises(CallbackDenied, match="always denied"):
            policy.check_url(url)


@given(st.text(max_size=40), st.sampled_from(["https://{}", "http://{}/", "https://hooks.example{}", "{}"]))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_denied(text: str, form: str) -> None:
    """Whatever is sent, it is either refused in our own words or becomes a URL that reads the same again."""
    try:
        target = EVERYWHERE.check_url(form.format(text))
    except CallbackDenied:
        return
    assert target.host.isascii()
    assert target.host == target.host.lower()
    assert EVERYWHERE.check_url(target.url) == target
