package directory

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// testCard makes the card of a founder whose root key is "root NAME" and so on.
func testCard(t testing.TB, label string, lab bool, addr string) []byte {
	t.Helper()
	c := Card{Label: label, Lab: lab}
	if addr != "" {
		c.Bootstrap = &Bootstrap{ID: RelayID(publicOf(testKey("bootstrap " + label))).Prefix(), Addr: netip.MustParseAddrPort(addr)}
	}
	raw, err := c.Sign(testKey("root "+label), testKey("signer "+label))
	check(t, err)
	return raw
}

func parsedCard(t testing.TB, label string, lab bool, addr string) *Card {
	t.Helper()
	c, err := ParseCard(testCard(t, label, lab, addr))
	check(t, err)
	return c
}

func TestCardRoundTrip(t *testing.T) {
	raw := testCard(t, "anna", false, "8.8.4.4:4443")
	text := CardText(raw)
	for name, in := range map[string][]byte{
		"binary": raw, "text": []byte(text), "lower case": []byte(strings.ToLower(text)),
		"wrapped by mail": []byte(" " + text[:30] + "\r\n\t" + text[30:] + "\n"),
	} {
		c, err := ParseCard(in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.Label != "anna" || c.Root != publicOf(testKey("root anna")) || c.Signer != publicOf(testKey("signer anna")) || c.Lab ||
			c.Bootstrap == nil || c.Bootstrap.Addr.String() != "8.8.4.4:4443" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	// A QR code of version 14, level L, takes 667 such characters: 73 modules.
	if longest := CardText(testCard(t, strings.Repeat("x", 32), true, "[fe80::1]:65535")); len(longest) > 667 {
		t.Errorf("the longest card has %d characters", len(longest))
	}
}

func TestCardWithoutProof(t *testing.T) {
	c := Card{Label: "mallory", Root: publicOf(testKey("root mallory")), Signer: publicOf(testKey("signer anna"))}
	body, err := encode(&cardBody{V: 1, Root: c.Root, Signer: c.Signer, Label: c.Label})
	check(t, err)
	seal := func(network NetworkID, label string, keys ...string) []byte {
		d := document{Type: label[len(labelPrefix):], Body: body}
		for _, k := range keys {
			d.add(signBody(label, network, body, testKey(k)))
		}
		raw, err := encode(&d)
		check(t, err)
		return raw
	}
	for name, tt := range map[string]struct {
		raw []byte
		err error
	}{
		"nobody":                    {seal(NetworkID{}, labelCard), ErrNoProof},
		"the root alone":            {seal(NetworkID{}, labelCard, "root mallory"), ErrNoProof},
		"somebody for the signer":   {seal(NetworkID{}, labelCard, "root mallory", "signer mallory"), ErrNoProof},
		"the signer alone":          {seal(NetworkID{}, labelCard, "signer anna"), ErrNoProof},
		"in a network":              {seal(NetworkID{1}, labelCard, "root mallory", "signer anna"), ErrNoProof},
		"as another type":           {seal(NetworkID{}, labelNetwork, "root mallory", "signer anna"), ErrBadCard},
		"a third signature as well": {seal(NetworkID{}, labelCard, "root mallory", "signer anna", "x"), ErrBadCard},
	} {
		if _, err := ParseCard(tt.raw); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", name, err, tt.err)
		}
	}
}

func TestAnyFlippedBitOfACardFails(t *testing.T) {
	eachFlip(testCard(t, "anna", false, "8.8.4.4:4443"), func(b []byte, at int) {
		if _, err := ParseCard(b); err == nil {
			t.Errorf("bit %d", at)
		}
	})
}

func TestCardRules(t *testing.T) {
	id := [16]byte{1}
	for name, c := range map[string]Card{
		"no name":          {},
		"long name":        {Label: strings.Repeat("x", 33)},
		"escape in name":   {Label: "a\x1b[2J"},
		"loopback":         {Label: "a", Bootstrap: &Bootstrap{id, netip.MustParseAddrPort("127.0.0.1:4443")}},
		"port 0 in a lab":  {Label: "a", Lab: true, Bootstrap: &Bootstrap{id, netip.MustParseAddrPort("127.0.0.1:0")}},
		"unspecified host": {Label: "a", Lab: true, Bootstrap: &Bootstrap{id, netip.MustParseAddrPort("0.0.0.0:1")}},
	} {
		if _, err := c.Sign(testKey("root"), testKey("signer")); !errors.Is(err, ErrBadCard) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Card{Label: "a"}).Sign(testKey("root"), testKey("root")); !errors.Is(err, ErrBadCard) {
		t.Errorf("one key for both: %v", err)
	}
	raw := testCard(t, "anna", false, "")
	for name, b := range map[string][]byte{
		"nothing": nil, "noise": []byte("hello"), "trailing byte": append(bytes.Clone(raw), 0), "half": raw[:100],
		"mistyped": []byte("HEARSAY-CARD:AAAA1"), "not UTF-8": []byte("HEARSAY-CARD:\xff"),
		"long text": []byte("HEARSAY-CARD:" + strings.Repeat("A", maxArmorText)), "large": make([]byte, maxCard+1),
		"newer format": replace(raw, "\xa4\x01\x01", "\xa4\x01\x02"),
	} {
		if _, err := ParseCard(b); !errors.Is(err, ErrBadCard) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]cardBody{
		"address of 7 bytes": {V: 1, Label: "a", Bootstrap: &bootstrapEntry{Addr: make([]byte, 7)}},
		"key of small order": {V: 1, Label: "a"},
	} {
		body, err := encode(&b)
		check(t, err)
		if _, err := parseCardBody(body); !errors.Is(err, ErrBadCard) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
