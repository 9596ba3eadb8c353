package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"hearsay/directory"
	"hearsay/relay"
)

// writeBadInput writes files that no command makes: a card whose name was
// changed after its keys had signed it, and a draft of two months ago.
func writeBadInput(dir string) error {
	root, signer := ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	card := directory.Card{Label: "mallory", Lab: true, Bootstrap: &directory.Bootstrap{Addr: netip.MustParseAddrPort("127.0.0.1:1")}}
	raw, err := card.Sign(root, signer)
	if err != nil {
		return err
	}
	parsed, err := directory.ParseCard(raw)
	if err != nil {
		return err
	}
	f := relay.NewNetworkFile("old", directory.JoinToken, true, time.Now().Add(-60*24*time.Hour))
	if err := f.AddFounder(parsed); err != nil {
		return err
	}
	d, err := directory.DraftFounding(f)
	if err != nil {
		return err
	}
	old, err := d.Bytes()
	if err != nil {
		return err
	}
	noproof := bytes.Replace(raw, []byte("mallory"), []byte("malcolm"), 1)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "noproof.card"), noproof, 0o600),
		os.WriteFile(filepath.Join(dir, "expired.draft"), old, 0o600),
	)
}
