package directory

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Specification constants of descriptors (SPEC.md §7).
const (
	MaxDescriptor     = 1024 // bytes, signature included
	MaxDescriptorLife = 48 * time.Hour
	maxAddrs          = 4
	maxOnionKeys      = 2
	maxProtocols      = 8
	maxSoftware       = 24
	maxNick           = 19
	maxContact        = 96
	maxSNI            = 64
	maxFamilies       = 2
	maxPoWNonce       = 16
	maxAdmission      = 320
)

// clockTolerance is how far a relay's clock may be ahead of the reader's. It
// is no protocol period and does not shrink in lab networks.
const clockTolerance = 10 * time.Minute

// Errors of descriptors that a store decides on.
var (
	ErrBadDescriptor = errors.New("directory: descriptor is not valid")
	ErrFuture        = errors.New("directory: it is dated in the future")
)

// Roles are what a relay offers to do.
type Roles uint8

// The roles.
const (
	RoleGuard   Roles = 1
	RoleInner   Roles = 2
	RoleMailbox Roles = 4
	RoleCache   Roles = 8
	RoleWitness Roles = 16
)

// OnionKey is a hop handshake key and the time from which clients use it.
type OnionKey struct {
	NotBefore uint32 // Unix seconds; the key epoch of the handshake
	Key       [32]byte
}

// Descriptor is what a relay says about itself. Slices of a parsed Descriptor
// must not be changed.
type Descriptor struct {
	ID        RelayID
	Seq       uint64        // Unix seconds of its making; rises
	Life      time.Duration // whole seconds, ≤ 48 h (lab 480 s)
	Addrs     []netip.AddrPort
	OnionKeys []OnionKey // 1 or 2, by rising NotBefore
	LinkKey   [32]byte   // Ed25519 key of the TLS leaf
	Protocols []uint16   // rising
	Roles     Roles
	Declared  uint64 // KiB/s, an upper bound
	Software  string
	Nick      string
	Contact   string
	SNI       string // reserved
	Families  []Family
	PoW       *PoW
	Admission []byte // nil, or what Invitation.Admission or VouchAdmission returns
	ext       extensions
}

type descriptorBody struct {
	V         uint64        `cbor:"1,keyasint"`
	ID        [32]byte      `cbor:"2,keyasint"`
	Seq       uint64        `cbor:"3,keyasint"`
	Life      uint64        `cbor:"4,keyasint"`
	Addrs     [][]byte      `cbor:"5,keyasint"`
	OnionKeys []onionEntry  `cbor:"6,keyasint"`
	LinkKey   [32]byte      `cbor:"7,keyasint"`
	Protocols []uint16      `cbor:"8,keyasint"`
	Roles     uint64        `cbor:"9,keyasint"`
	Declared  uint64        `cbor:"10,keyasint,omitempty"`
	Software  string        `cbor:"11,keyasint,omitempty"`
	Nick      string        `cbor:"12,keyasint,omitempty"`
	Contact   string        `cbor:"13,keyasint,omitempty"`
	SNI       string        `cbor:"14,keyasint,omitempty"`
	Families  []familyEntry `cbor:"15,keyasint,omitempty"`
	PoW       *powEntry     `cbor:"16,keyasint,omitempty"`
	Admission []byte        `cbor:"17,keyasint,omitempty"`
	Ext       extensions    `cbor:"127,keyasint,omitempty"`
}

type onionEntry struct {
	_         struct{} `cbor:",toarray"`
	NotBefore uint32
	Key       [32]byte
}

type familyEntry struct {
	_         struct{} `cbor:",toarray"`
	Key       [32]byte
	Expires   uint64
	Signature [64]byte
}

type powEntry struct {
	_      struct{} `cbor:",toarray"`
	Window uint32
	Nonce  []byte
}

// Made returns the time of making, which is Seq.
func (d *Descriptor) Made() time.Time { return time.Unix(int64(d.Seq), 0) }

// Expires returns the time after which the descriptor counts no more.
func (d *Descriptor) Expires() time.Time { return d.Made().Add(d.Life) }

// OnionKeyAt returns the newest onion key whose NotBefore is not after t.
func (d *Descriptor) OnionKeyAt(t time.Time) (OnionKey, bool) {
	for i := len(d.OnionKeys) - 1; i >= 0; i-- {
		if int64(d.OnionKeys[i].NotBefore) <= t.Unix() {
			return d.OnionKeys[i], true
		}
	}
	return OnionKey{}, false
}

// Sign encodes the descriptor and signs it with the relay's identity key,
// whose public half must be ID. Address rules are the reader's, who knows
// whether this is a lab network.
func (d *Descriptor) Sign(network NetworkID, key ed25519.PrivateKey) ([]byte, error) {
	if RelayID(publicOf(key)) != d.ID {
		return nil, fmt.Errorf("%w: signed with the key of another relay", ErrBadDescriptor)
	}
	if err := d.check(true); err != nil {
		return nil, err
	}
	body, err := d.encode()
	if err != nil {
		return nil, err
	}
	raw, err := sealDocument(labelDesc, network, body, key)
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxDescriptor {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBadDescriptor, len(raw), MaxDescriptor)
	}
	return raw, nil
}

// encode returns the body, whose rules check has checked.
func (d *Descriptor) encode() ([]byte, error) {
	b := descriptorBody{
		V: 1, ID: d.ID, Seq: d.Seq, Life: uint64(d.Life / time.Second), LinkKey: d.LinkKey,
		Protocols: d.Protocols, Roles: uint64(d.Roles), Declared: d.Declared,
		Software: d.Software, Nick: d.Nick, Contact: d.Contact, SNI: d.SNI, Admission: d.Admission, Ext: d.ext,
	}
	for _, a := range d.Addrs {
		b.Addrs = append(b.Addrs, appendAddr(nil, a))
	}
	for _, k := range d.OnionKeys {
		b.OnionKeys = append(b.OnionKeys, onionEntry{NotBefore: k.NotBefore, Key: k.Key})
	}
	for _, f := range d.Families {
		b.Families = append(b.Families, familyEntry{Key: f.Key, Expires: uint64(f.Expires.Unix()), Signature: f.Signature})
	}
	if d.PoW != nil {
		b.PoW = &powEntry{Window: d.PoW.Window, Nonce: d.PoW.Nonce}
	}
	return encode(&b)
}

// ParseDescriptor decodes a descriptor and checks everything that a store must
// before it keeps or forwards it, the cheap checks first: size, form, age,
// addresses, signatures, admission (SPEC.md §7.3).
func ParseDescriptor(rules Rules, raw []byte, now time.Time) (*Descriptor, error) {
	doc, err := openDocument(labelDesc, raw, MaxDescriptor)
	if err != nil {
		return nil, fmt.Errorf("parse descriptor: %w", err)
	}
	d, err := parseDescriptorBody(doc.Body)
	if err != nil {
		return nil, fmt.Errorf("parse descriptor: %w", err)
	}
	if err := d.checkTime(rules.Lab, now); err != nil {
		return nil, fmt.Errorf("parse descriptor: %w", err)
	}
	if err := d.check(rules.Lab); err != nil {
		return nil, fmt.Errorf("parse descriptor: %w", err)
	}
	if len(doc.Signatures) != 1 || !doc.signedBy(labelDesc, rules.Network, d.ID) {
		return nil, fmt.Errorf("parse descriptor: %w", ErrSignature)
	}
	for i := range d.Families {
		if !d.Families[i].verify(rules.Network, d.ID) {
			return nil, fmt.Errorf("parse descriptor: family: %w", ErrSignature)
		}
	}
	if err := rules.admit(d, now); err != nil {
		return nil, fmt.Errorf("parse descriptor: %w", err)
	}
	return d, nil
}

func parseDescriptorBody(raw []byte) (*Descriptor, error) {
	var b descriptorBody
	if err := decode(raw, MaxDescriptor, &b); err != nil {
		return nil, err
	}
	if b.V != 1 {
		return nil, fmt.Errorf("%w: format %d", ErrBadDescriptor, b.V)
	}
	if b.Seq > maxUnix || b.Life > uint64(MaxDescriptorLife/time.Second) || b.Roles > 31 {
		return nil, fmt.Errorf("%w: value out of range", ErrBadDescriptor)
	}
	if err := b.Ext.check(); err != nil {
		return nil, err
	}
	d := &Descriptor{
		ID: b.ID, Seq: b.Seq, Life: time.Duration(b.Life) * time.Second, LinkKey: b.LinkKey,
		Protocols: b.Protocols, Roles: Roles(b.Roles), Declared: b.Declared,
		Software: b.Software, Nick: b.Nick, Contact: b.Contact, SNI: b.SNI, Admission: b.Admission, ext: b.Ext,
	}
	if len(b.Addrs) > maxAddrs {
		return nil, fmt.Errorf("%w: %d addresses", ErrBadDescriptor, len(b.Addrs))
	}
	for _, a := range b.Addrs {
		p, err := parseAddr(a)
		if err != nil {
			return nil, err
		}
		d.Addrs = append(d.Addrs, p)
	}
	for _, k := range b.OnionKeys {
		d.OnionKeys = append(d.OnionKeys, OnionKey{NotBefore: k.NotBefore, Key: k.Key})
	}
	for _, f := range b.Families {
		if f.Expires > maxUnix {
			return nil, fmt.Errorf("%w: value out of range", ErrBadDescriptor)
		}
		d.Families = append(d.Families, Family{Key: f.Key, Expires: time.Unix(int64(f.Expires), 0), Signature: f.Signature})
	}
	if b.PoW != nil {
		d.PoW = &PoW{Window: b.PoW.Window, Nonce: b.PoW.Nonce}
	}
	return d, nil
}

// check applies the rules that need neither clock nor signature.
func (d *Descriptor) check(lab bool) error {
	fail := func(what string) error { return fmt.Errorf("%w: %s", ErrBadDescriptor, what) }
	switch {
	case d.Life <= 0 || d.Life > MaxDescriptorLife || d.Life%time.Second != 0:
		return fail("life")
	case len(d.Addrs) < 1 || len(d.Addrs) > maxAddrs:
		return fail("number of addresses")
	case len(d.OnionKeys) < 1 || len(d.OnionKeys) > maxOnionKeys:
		return fail("number of onion keys")
	case len(d.OnionKeys) == 2 && d.OnionKeys[0].NotBefore >= d.OnionKeys[1].NotBefore:
		return fail("order of onion keys")
	case len(d.Protocols) < 1 || len(d.Protocols) > maxProtocols:
		return fail("number of protocols")
	case d.Roles > 31:
		return fail("roles")
	case !asciiText(d.Software, maxSoftware) || !asciiText(d.Nick, maxNick) || !asciiText(d.SNI, maxSNI):
		return fail("software, nick or SNI")
	case !plainText(d.Contact, maxContact):
		return fail("contact")
	case len(d.Families) > maxFamilies:
		return fail("number of families")
	case d.PoW != nil && (len(d.PoW.Nonce) < 1 || len(d.PoW.Nonce) > maxPoWNonce):
		return fail("proof of work")
	case len(d.Admission) > maxAdmission:
		return fail("admission")
	}
	for i := 1; i < len(d.Protocols); i++ {
		if d.Protocols[i-1] >= d.Protocols[i] {
			return fail("order of protocols")
		}
	}
	for _, k := range d.OnionKeys {
		if k.Key == [32]byte{} {
			return fail("onion key")
		}
	}
	for _, k := range [][32]byte{d.ID, d.LinkKey} {
		if err := checkKey(k); err != nil {
			return fmt.Errorf("%w: %w", ErrBadDescriptor, err)
		}
	}
	if d.LinkKey == d.ID {
		return fail("link key equals the identity")
	}
	for i, a := range d.Addrs {
		if err := CheckAddr(a, lab); err != nil {
			return fmt.Errorf("%w: %w", ErrBadDescriptor, err)
		}
		for _, b := range d.Addrs[:i] {
			if a == b {
				return fail("the same address twice")
			}
		}
	}
	for i := range d.Families {
		if err := checkKey(d.Families[i].Key); err != nil {
			return fmt.Errorf("%w: %w", ErrBadDescriptor, err)
		}
		if i == 1 && d.Families[0].Key == d.Families[1].Key {
			return fail("the same family twice")
		}
	}
	return nil
}

func (d *Descriptor) checkTime(lab bool, now time.Time) error {
	switch {
	case d.Life > Scale(lab, MaxDescriptorLife):
		return fmt.Errorf("%w: life of %v", ErrBadDescriptor, d.Life)
	case d.Made().After(now.Add(clockTolerance)):
		return ErrFuture
	case !now.Before(d.Expires()):
		return ErrExpired
	}
	return nil
}

// asciiText tells whether s is at most limit printable ASCII characters.
// CheckNick fails if a nickname is none that a descriptor may hold: at most 19
// printable characters of ASCII.
func CheckNick(s string) error {
	if !asciiText(s, maxNick) {
		return fmt.Errorf("more than %d characters, or others than printable ones of ASCII", maxNick)
	}
	return nil
}

// CheckContact fails if a contact is none that a descriptor may hold: at most 96
// bytes of printable text.
func CheckContact(s string) error {
	if !plainText(s, maxContact) {
		return fmt.Errorf("more than %d bytes, or others than printable characters", maxContact)
	}
	return nil
}

func asciiText(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
