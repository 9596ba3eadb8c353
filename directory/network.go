package directory

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// Specification constants of network files (SPEC.md §2).
const (
	maxNetworkFile = 64 << 10 // bytes of one version
	maxVersions    = 1024
	maxFounders    = 9 // roots, and signers
	maxName        = 64
	maxLabel       = 32
	maxSeeds       = 64
	maxFileLife    = 730 * 24 * time.Hour
	algEd25519     = 1
)

// maxUnix keeps times inside what time.Time and JSON can hold (year 9999).
const maxUnix = 253402300799

// ErrBadNetworkFile is returned for a network file that breaks a rule.
var ErrBadNetworkFile = errors.New("directory: network file is not valid")

// Join is the set of ways by which relays may join a network.
type Join uint8

// The join modes. Closed excludes all others.
const (
	JoinClosed Join = 1
	JoinToken  Join = 2
	JoinVouch  Join = 4
	JoinOpen   Join = 8
)

// String returns the mode as people write it; several are joined by "+".
func (j Join) String() string {
	s := ""
	for _, m := range []struct {
		bit  Join
		name string
	}{{JoinClosed, "closed"}, {JoinToken, "token"}, {JoinVouch, "vouch"}, {JoinOpen, "open"}} {
		if j&m.bit != 0 {
			if s != "" {
				s += "+"
			}
			s += m.name
		}
	}
	return s
}

// FounderKey is a root or signer identity key with the name its owner gave it.
type FounderKey struct {
	Public [32]byte // Ed25519
	Label  string   // ≤ 32 bytes
}

// NetworkFile is the body of one version of a network file. The times are in
// whole seconds. A NetworkFile of a Chain must not be changed.
type NetworkFile struct {
	Version          uint64 // 1, 2, 3, …
	Name             string
	Salt             [16]byte
	Created, Expires time.Time
	Roots            []FounderKey // offline keys; thresholds follow from the counts
	Signers          []FounderKey
	Bootstraps       []Bootstrap
	Join             Join
	Params           map[Param]int64 // what differs from the defaults
	Previous         [32]byte        // hash of the previous body; zero in version 1
	Lab              bool
	ASTable          [32]byte  // zero: none
	Relays           []RelayID // of a closed network
	Seeds            []RelayID
	MinProtocol      uint16
	EpochFloorReset  uint64 // 0: none
	Inviters         []Inviter
	ext              extensions
}

type networkBody struct {
	Format     uint64           `cbor:"1,keyasint"`
	Version    uint64           `cbor:"2,keyasint"`
	Name       string           `cbor:"3,keyasint"`
	Salt       [16]byte         `cbor:"4,keyasint"`
	Created    uint64           `cbor:"5,keyasint"`
	Expires    uint64           `cbor:"6,keyasint"`
	Roots      []founderEntry   `cbor:"7,keyasint"`
	KRoot      uint64           `cbor:"8,keyasint"`
	Signers    []founderEntry   `cbor:"9,keyasint"`
	KSign      uint64           `cbor:"10,keyasint"`
	Bootstraps []bootstrapEntry `cbor:"11,keyasint"`
	Join       uint64           `cbor:"12,keyasint"`
	Params     map[uint64]int64 `cbor:"13,keyasint,omitempty"`
	Previous   []byte           `cbor:"14,keyasint,omitempty"`
	Lab        bool             `cbor:"15,keyasint"`
	ASTable    []byte           `cbor:"16,keyasint,omitempty"`
	Members    *memberLists     `cbor:"17,keyasint,omitempty"`
	MinProto   uint64           `cbor:"18,keyasint"`
	FloorReset uint64           `cbor:"19,keyasint,omitempty"`
	Inviters   []inviterEntry   `cbor:"20,keyasint,omitempty"`
	Ext        extensions       `cbor:"127,keyasint,omitempty"`
}

type founderEntry struct {
	_      struct{} `cbor:",toarray"`
	Alg    uint64
	Public [32]byte
	Label  string
}

type bootstrapEntry struct {
	_    struct{} `cbor:",toarray"`
	ID   [16]byte
	Addr []byte
}

type memberLists struct {
	_      struct{} `cbor:",toarray"`
	Relays [][32]byte
	Seeds  [][32]byte
}

// SignThreshold returns how many of n signers must sign a snapshot
// (SPEC.md §2.2).
func SignThreshold(n int) int {
	if n <= 3 {
		return n/2 + 1
	}
	return 2*n/3 + 1
}

// RootThreshold returns how many of n roots must sign a version after the first.
func RootThreshold(n int) int { return n/2 + 1 }

// encode returns the body, or an error that names the broken rule.
func (f *NetworkFile) encode() ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	b := networkBody{
		Format: 1, Version: f.Version, Name: f.Name, Salt: f.Salt,
		Created: uint64(f.Created.Unix()), Expires: uint64(f.Expires.Unix()),
		Roots: founderEntries(f.Roots), KRoot: uint64(RootThreshold(len(f.Roots))),
		Signers: founderEntries(f.Signers), KSign: uint64(SignThreshold(len(f.Signers))),
		Join: uint64(f.Join), Lab: f.Lab, MinProto: uint64(f.MinProtocol), FloorReset: f.EpochFloorReset,
		Inviters: inviterEntries(f.Inviters), Ext: f.ext,
	}
	for _, s := range f.Bootstraps {
		b.Bootstraps = append(b.Bootstraps, bootstrapEntry{ID: s.ID, Addr: appendAddr(nil, s.Addr)})
	}
	if len(f.Params) > 0 {
		b.Params = make(map[uint64]int64, len(f.Params))
		for p, v := range f.Params {
			b.Params[uint64(p)] = v
		}
	}
	if f.Previous != [32]byte{} {
		b.Previous = f.Previous[:]
	}
	if f.ASTable != [32]byte{} {
		b.ASTable = f.ASTable[:]
	}
	if len(f.Relays)+len(f.Seeds) > 0 {
		b.Members = &memberLists{Relays: rawIDs(f.Relays), Seeds: rawIDs(f.Seeds)}
	}
	return encode(&b)
}

func founderEntries(keys []FounderKey) []founderEntry {
	list := make([]founderEntry, len(keys))
	for i, k := range keys {
		list[i] = founderEntry{Alg: algEd25519, Public: k.Public, Label: k.Label}
	}
	return list
}

func rawIDs(ids []RelayID) [][32]byte {
	list := make([][32]byte, len(ids))
	for i, id := range ids {
		list[i] = id
	}
	return list
}

// parseNetworkBody decodes and checks a body. Signatures are the chain's matter.
func parseNetworkBody(raw []byte) (*NetworkFile, error) {
	var b networkBody
	if err := decode(raw, maxNetworkFile, &b); err != nil {
		return nil, err
	}
	if b.Format != 1 {
		return nil, fmt.Errorf("%w: format %d; a newer program may know it", ErrBadNetworkFile, b.Format)
	}
	if b.Created > maxUnix || b.Expires > maxUnix || b.Join > 15 || b.MinProto > 0xffff {
		return nil, fmt.Errorf("%w: value out of range", ErrBadNetworkFile)
	}
	if err := b.Ext.check(); err != nil {
		return nil, err
	}
	f := &NetworkFile{
		Version: b.Version, Name: b.Name, Salt: b.Salt,
		Created: time.Unix(int64(b.Created), 0), Expires: time.Unix(int64(b.Expires), 0),
		Join: Join(b.Join), Lab: b.Lab, MinProtocol: uint16(b.MinProto), EpochFloorReset: b.FloorReset, ext: b.Ext,
	}
	var err error
	if f.Roots, err = founderKeys(b.Roots); err != nil {
		return nil, err
	}
	if f.Signers, err = founderKeys(b.Signers); err != nil {
		return nil, err
	}
	if f.Inviters, err = parseInviters(b.Inviters); err != nil {
		return nil, err
	}
	if len(b.Bootstraps) > maxBootstraps {
		return nil, fmt.Errorf("%w: %d bootstraps", ErrBadNetworkFile, len(b.Bootstraps))
	}
	for _, s := range b.Bootstraps {
		a, err := parseAddr(s.Addr)
		if err != nil {
			return nil, err
		}
		f.Bootstraps = append(f.Bootstraps, Bootstrap{ID: s.ID, Addr: a})
	}
	if b.Params != nil {
		f.Params = make(map[Param]int64, len(b.Params))
		for p, v := range b.Params {
			if p == 0 || p >= uint64(len(paramRules)) {
				return nil, fmt.Errorf("%w: unknown parameter %d", ErrBadNetworkFile, p)
			}
			f.Params[Param(p)] = v
		}
	}
	if f.Previous, err = optionalHash(b.Previous); err != nil {
		return nil, err
	}
	if f.ASTable, err = optionalHash(b.ASTable); err != nil {
		return nil, err
	}
	if b.Members != nil {
		if len(b.Members.Relays)+len(b.Members.Seeds) == 0 {
			return nil, ErrNotCanonical
		}
		for _, id := range b.Members.Relays {
			f.Relays = append(f.Relays, id)
		}
		for _, id := range b.Members.Seeds {
			f.Seeds = append(f.Seeds, id)
		}
	}
	if b.KRoot != uint64(RootThreshold(len(f.Roots))) || b.KSign != uint64(SignThreshold(len(f.Signers))) {
		return nil, fmt.Errorf("%w: thresholds do not follow from the number of keys", ErrBadNetworkFile)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	return f, nil
}

func founderKeys(list []founderEntry) ([]FounderKey, error) {
	if len(list) > maxFounders {
		return nil, fmt.Errorf("%w: %d keys, at most %d", ErrBadNetworkFile, len(list), maxFounders)
	}
	keys := make([]FounderKey, len(list))
	for i, e := range list {
		if e.Alg != algEd25519 {
			return nil, fmt.Errorf("%w: key algorithm %d; a newer program may know it", ErrBadNetworkFile, e.Alg)
		}
		keys[i] = FounderKey{Public: e.Public, Label: e.Label}
	}
	return keys, nil
}

// optionalHash reads a hash that is absent or 32 bytes and not all zero.
func optionalHash(b []byte) ([32]byte, error) {
	var h [32]byte
	if len(b) == 0 {
		return h, nil
	}
	if len(b) != 32 || bytes.Equal(b, h[:]) {
		return h, fmt.Errorf("%w: hash", ErrBadNetworkFile)
	}
	return [32]byte(b), nil
}

// check applies the rules that one version must obey by itself (SPEC.md §2.1).
func (f *NetworkFile) check() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrBadNetworkFile}, args...)...)
	}
	switch {
	case f.Version < 1 || f.Version > maxVersions:
		return fail("version %d", f.Version)
	case (f.Version == 1) != (f.Previous == [32]byte{}):
		return fail("only version 1 has no predecessor")
	case !plainText(f.Name, maxName) || f.Name == "":
		return fail("a name has 1 to %d bytes and no control characters", maxName)
	case f.Created.Unix() < 0 || f.Expires.Unix() > maxUnix || !f.Expires.After(f.Created):
		return fail("it expires before it was made")
	case f.Expires.Sub(f.Created) > maxFileLife:
		return fail("it lives longer than 730 days")
	case f.Created.Nanosecond() != 0 || f.Expires.Nanosecond() != 0:
		return fail("times are whole seconds")
	case f.Join == 0 || f.Join > 15 || f.Join&JoinClosed != 0 && f.Join != JoinClosed:
		return fail("join modes %d", f.Join)
	case len(f.Relays) > 0 && f.Join != JoinClosed:
		return fail("only a closed network lists its relays")
	case len(f.Seeds) > maxSeeds:
		return fail("%d seeds, at most %d", len(f.Seeds), maxSeeds)
	}
	if err := checkFounders(f.Roots, f.Signers); err != nil {
		return err
	}
	if err := f.checkInviters(); err != nil {
		return err
	}
	for p, v := range f.Params {
		if p == 0 || int(p) >= len(paramRules) || v < paramRules[p].min || v > paramRules[p].max {
			return fail("parameter %d is %d", p, v)
		}
	}
	if f.Params[ParamEpoch]%int64(startEpoch/time.Second) != 0 {
		return fail("epochs last whole minutes")
	}
	if len(f.Bootstraps) < 1 || len(f.Bootstraps) > maxBootstraps {
		return fail("%d bootstraps, allowed are 1 to %d", len(f.Bootstraps), maxBootstraps)
	}
	for i, b := range f.Bootstraps {
		if err := CheckAddr(b.Addr, f.Lab); err != nil {
			return fmt.Errorf("%w: bootstrap: %w", ErrBadNetworkFile, err)
		}
		if slices.ContainsFunc(f.Bootstraps[:i], func(o Bootstrap) bool { return o.Addr == b.Addr }) {
			return fail("two bootstraps at %v", b.Addr)
		}
	}
	return nil
}

// FileWarning is how long before its end people are told that a network file
// expires.
const FileWarning = 90 * 24 * time.Hour

// ExpiresSoon tells whether the file ends within FileWarning: then founders
// should make the next version.
func (f *NetworkFile) ExpiresSoon(now time.Time) bool {
	return f.Expires.Sub(now) < FileWarning
}

func checkFounders(roots, signers []FounderKey) error {
	if len(roots) < 1 || len(roots) > maxFounders || len(signers) < 1 || len(signers) > maxFounders {
		return fmt.Errorf("%w: 1 to %d roots and signers are allowed", ErrBadNetworkFile, maxFounders)
	}
	seen := make(map[KeyID]bool)
	for _, list := range [][]FounderKey{roots, signers} {
		for _, k := range list {
			if !plainText(k.Label, maxLabel) {
				return fmt.Errorf("%w: key label", ErrBadNetworkFile)
			}
			if err := checkKey(k.Public); err != nil {
				return fmt.Errorf("%w: %w", ErrBadNetworkFile, err)
			}
			if seen[keyID(k.Public)] {
				return fmt.Errorf("%w: the same key twice", ErrBadNetworkFile)
			}
			seen[keyID(k.Public)] = true
		}
	}
	return nil
}

// plainText tells whether s is valid UTF-8 of at most limit bytes without
// control, formatting or line-breaking characters.
func plainText(s string, limit int) bool {
	if len(s) > limit || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// Found signs version 1 of the network file with the root keys, all of which
// must sign, and returns the document and the id of the new network. Version
// and Previous of f are set by Found.
func Found(f NetworkFile, roots ...ed25519.PrivateKey) ([]byte, NetworkID, error) {
	f.Version, f.Previous = 1, [32]byte{}
	body, err := f.encode()
	if err != nil {
		return nil, NetworkID{}, fmt.Errorf("found network: %w", err)
	}
	raw, err := sealDocument(labelNetwork, NetworkID{}, body, roots...)
	if err != nil {
		return nil, NetworkID{}, fmt.Errorf("found network: %w", err)
	}
	id := NetworkID(labelled(labelNetworkID, body))
	if _, err := VerifyChain(id, [][]byte{raw}, f.Created); err != nil {
		return nil, NetworkID{}, fmt.Errorf("found network: %w", err)
	}
	return raw, id, nil
}
