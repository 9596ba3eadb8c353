package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"hearsay/directory"
)

// AddressSize is the length of an encoded bundle of a permanent address in bytes.
const AddressSize = 1696

const (
	bundleAddress    = 2
	maxWorkBits      = 27 // that an owner may ask for
	maxAddressKeys   = 6  // generations: the present one and those of 28 days before
	addressVersion   = 1
	addressKeysSize  = 8 + 2*keySize + AddressSize
	addressFixedSize = 1 + 2*keySize + 1
)

// addressPart is what a bundle of an address has beyond that of an invite.
type addressPart struct {
	root [keySize]byte // Ed25519
	seq  uint32        // from 1
	bits byte          // work that the owner asks for
	sig  [ed25519.SignatureSize]byte
}

// IsAddress tells whether u is of a permanent address.
func (u Bundle) IsAddress() bool { return u.address.seq != 0 }

// Seq tells which of two bundles of an address is newer: the higher one. 0 for
// invites.
func (u Bundle) Seq() uint32 { return u.address.seq }

// WorkBits returns the work in bits that a request costs at least. 0 for
// invites.
func (u Bundle) WorkBits() int { return int(u.address.bits) }

// parseAddress parses a bundle of an address and verifies its signature.
func parseAddress(b []byte) (Bundle, error) {
	var u Bundle
	r := reader{b: b}
	if r.byte() != bundleVersion || r.byte() != bundleAddress {
		r.fail()
	}
	r.zero(2)
	u.Network = r.key()
	u.address.root = r.key()
	u.ik = r.key()
	u.salt = [saltSize]byte(r.bytes(saltSize))
	u.address.seq = r.uint32()
	u.Expires = r.uint32()
	u.address.bits = r.byte()
	r.zero(3)
	u.dh = r.key()
	copy(u.xwing[:], r.bytes(xwingSize))
	queues := r.bytes(2 * QAddrSize)
	u.address.sig = [ed25519.SignatureSize]byte(r.bytes(ed25519.SignatureSize))
	if u.address.seq == 0 || u.address.bits > maxWorkBits {
		r.fail()
	}
	if err := r.done(); err != nil {
		return u, err
	}
	var err error
	if u.Queues, err = parsePair(queues); err != nil {
		return u, err
	}
	if _, err := hpke.MLKEM768X25519().NewPublicKey(u.xwing[:]); err != nil {
		return u, ErrFormat
	}
	if !validRoot(u.address.root) {
		return u, ErrFormat
	}
	if !ed25519.Verify(u.address.root[:], u.addressText(), u.address.sig[:]) {
		return u, ErrAuth
	}
	return u, nil
}

// appendUnsigned appends a bundle of an address without its signature.
func (u Bundle) appendUnsigned(b []byte) []byte {
	b = append(b, bundleVersion, bundleAddress, 0, 0)
	b = append(b, u.Network[:]...)
	b = append(b, u.address.root[:]...)
	b = append(b, u.ik[:]...)
	b = append(b, u.salt[:]...)
	b = binary.BigEndian.AppendUint32(b, u.address.seq)
	b = binary.BigEndian.AppendUint32(b, u.Expires)
	b = append(b, u.address.bits, 0, 0, 0)
	b = append(b, u.dh[:]...)
	b = append(b, u.xwing[:]...)
	b = u.Queues[0].Append(b)
	return u.Queues[1].Append(b)
}

func (u Bundle) addressText() []byte {
	return u.appendUnsigned(append(make([]byte, 0, len(labelAddress)+AddressSize), labelAddress...))
}

// validRoot refuses what is no Ed25519 key or one with torsion: several keys
// would have one blinded form (directory/SPEC.md §21).
func validRoot(root [keySize]byte) bool {
	_, err := directory.Blind(directory.NetworkID{}, root, 0)
	return err == nil
}

// openAddress checks what a blob or record of the address holds.
func (l Link) openAddress(now time.Time, network directory.NetworkID, plain []byte) (Bundle, error) {
	if len(plain) < AddressSize || !allZero(plain[AddressSize:]) {
		return Bundle{}, fmt.Errorf("blob padding: %w", ErrFormat)
	}
	u, err := ParseBundle(plain[:AddressSize])
	if err != nil {
		return Bundle{}, err
	}
	if subtle.ConstantTimeCompare(u.address.root[:], l.Key.b[:]) != 1 {
		return Bundle{}, fmt.Errorf("blob holds another address: %w", ErrAuth)
	}
	if err := u.check(now, network); err != nil {
		return Bundle{}, err
	}
	return u, nil
}

// Blinded returns the key under which records of the address lie in a period
// (directory/SPEC.md §22). The link has to be of an address.
func (l Link) Blinded(network directory.NetworkID, period uint64) (directory.BlindedKey, error) {
	return directory.Blind(network, l.Key.b, period)
}

// OpenRecord opens a record of the address and checks the bundle in it as
// OpenBlob does. ErrAuth also if the record is of another address.
func (l Link) OpenRecord(now time.Time, network directory.NetworkID, r *directory.AddressRecord) (Bundle, error) {
	plain, err := r.Open(network, l.Key.b)
	if err != nil || !l.Address {
		return Bundle{}, fmt.Errorf("open address record: %w", ErrAuth)
	}
	return l.openAddress(now, network, plain)
}

// Address is the owner's private half of a permanent address: its root key, the
// identity key of those who ask through it, and the keys of the bundles that
// strangers may still answer.
type Address struct {
	root ed25519.PrivateKey
	ik   *ecdh.PrivateKey
	keys []addressKeys // newest first
}

// addressKeys are one generation: what becomes useless by rotation.
type addressKeys struct {
	ended  uint64 // seconds since 1970 when the next generation came; 0: it has not
	dh     *ecdh.PrivateKey
	xwing  hpke.PrivateKey
	bundle Bundle
}

// NewAddress makes a permanent address with its first bundle for the two queues
// (the second may be zero), valid up to and including the day of expires. bits is
// the work that a request costs at least.
func NewAddress(rand io.Reader, network directory.NetworkID, queues [2]QAddr, expires time.Time, bits int) (*Address, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("new address: %w", err)
	}
	a := &Address{root: ed25519.NewKeyFromSeed(seed)}
	var err error
	if a.ik, err = newDH(rand); err != nil {
		return nil, fmt.Errorf("new address: %w", err)
	}
	u := Bundle{Network: network, Queues: queues, Expires: unixDay(expires)}
	u.address.seq, u.address.bits = 1, byte(bits)
	if err := a.add(rand, u); err != nil {
		return nil, fmt.Errorf("new address: %w", err)
	}
	return a, nil
}

// Rotate makes the next bundle, with a seq of at least least: an owner whose store
// was set back has to outbid the bundles that it knows no more. The keys of
// earlier ones stay until Forget.
func (a *Address) Rotate(rand io.Reader, now time.Time, least uint32, queues [2]QAddr, expires time.Time, bits int) error {
	u := Bundle{Network: a.keys[0].bundle.Network, Queues: queues, Expires: unixDay(expires)}
	u.address.seq, u.address.bits = max(a.Bundle().Seq()+1, least), byte(bits)
	if err := a.add(rand, u); err != nil {
		return fmt.Errorf("rotate address: %w", err)
	}
	a.keys[1].ended = max(1, unixSeconds(now))
	if len(a.keys) > maxAddressKeys {
		a.keys = a.keys[:maxAddressKeys]
	}
	return nil
}

// add draws keys for a bundle, signs it and puts it first.
func (a *Address) add(rand io.Reader, u Bundle) error {
	if u.address.bits > maxWorkBits {
		return ErrFormat
	}
	if err := checkPair(u.Queues); err != nil {
		return err
	}
	k := addressKeys{}
	var err error
	if k.dh, err = newDH(rand); err != nil {
		return err
	}
	var seed [keySize]byte
	for _, b := range [][]byte{seed[:], u.salt[:]} {
		if _, err := io.ReadFull(rand, b); err != nil {
			return err
		}
	}
	if k.xwing, err = hpke.MLKEM768X25519().NewPrivateKey(seed[:]); err != nil {
		return err
	}
	clear(seed[:])
	k.bundle = a.sign(u, k)
	a.keys = append([]addressKeys{k}, a.keys...)
	return nil
}

// sign completes a bundle with the public keys and the signature.
func (a *Address) sign(u Bundle, k addressKeys) Bundle {
	u.address.root = [keySize]byte(a.root.Public().(ed25519.PublicKey))
	copy(u.ik[:], a.ik.PublicKey().Bytes())
	copy(u.dh[:], k.dh.PublicKey().Bytes())
	copy(u.xwing[:], k.xwing.PublicKey().Bytes())
	u.address.sig = [ed25519.SignatureSize]byte(ed25519.Sign(a.root, u.addressText()))
	return u
}

// Forget erases the keys of bundles that were replaced at least keep ago, and
// tells whether there were any.
func (a *Address) Forget(now time.Time, keep time.Duration) bool {
	for i, k := range a.keys {
		if k.ended != 0 && unixSeconds(now) >= k.ended+uint64(keep/time.Second) {
			a.keys = a.keys[:i:i] // those behind it ended before
			return true
		}
	}
	return false
}

// Bundle returns the newest public half.
func (a *Address) Bundle() Bundle { return a.keys[0].bundle }

// Link returns the link of the address. It names the relays of the newest
// bundle; those of an earlier link serve as long as their relays do.
func (a *Address) Link() Link {
	u := a.Bundle()
	l := Link{Address: true, Network: [4]byte(u.Network[:4])}
	copy(l.Key.b[:], u.address.root[:])
	for n, q := range u.Queues {
		l.Relays[n] = q.Relay.Prefix()
	}
	return l
}

// SealBlob seals the newest bundle for the relays named in the link: BlobSize
// bytes, different at each call.
func (a *Address) SealBlob(rand io.Reader) ([]byte, error) {
	return a.Link().sealBlob(rand, a.Bundle().Append(nil))
}

// SealRecord seals the newest bundle for the relays that hold the records of a
// period.
func (a *Address) SealRecord(rand io.Reader, period, revision uint64) (*directory.AddressRecord, error) {
	u := a.Bundle()
	var nonce [nonceSize]byte
	if _, err := io.ReadFull(rand, nonce[:]); err != nil {
		return nil, fmt.Errorf("seal address record: %w", err)
	}
	return directory.SealAddressRecord(u.Network, a.root, period, revision, u.Append(nil), nonce)
}

// Accept opens a contact request to any bundle whose keys are there (SPEC.md
// §4.4). The address stays as it is. The caller refuses the request if it has
// seen Core before or has blocked Guest, and shows it before anything is
// sealed. ErrFormat or ErrAuth otherwise.
func (a *Address) Accept(now time.Time, cfg Config, container []byte) (*Accepted, error) {
	failed := ErrAuth
	for _, k := range a.keys {
		i := &Invite{ik: a.ik, dh: k.dh, xwing: k.xwing, bundle: k.bundle}
		got, err := i.accept(now, cfg, container)
		if err == nil {
			return got, nil
		}
		if !errors.Is(err, ErrAuth) {
			failed = err
		}
	}
	return nil, fmt.Errorf("contact request: %w", failed)
}

// Guest returns the hash of the identity key of who sent the request: what is
// remembered of somebody who is blocked.
func (a *Accepted) Guest() [32]byte { return sha256.Sum256(a.State.peerIK[:]) }

// Append appends the serialised address: secret.
func (a *Address) Append(b []byte) []byte {
	b = append(b, addressVersion)
	b = append(b, a.root.Seed()...)
	b = append(b, a.ik.Bytes()...)
	b = append(b, byte(len(a.keys)))
	for _, k := range a.keys {
		seed, err := k.xwing.Bytes()
		if err != nil {
			panic("session: X-Wing key without seed: " + err.Error()) // we made it from one
		}
		b = binary.BigEndian.AppendUint64(b, k.ended)
		b = append(b, k.dh.Bytes()...)
		b = append(b, seed...)
		b = k.bundle.Append(b)
	}
	return b
}

// ParseSecretAddress parses what Address.Append wrote; ErrFormat if anything is
// wrong, keys that do not fit their bundle included.
func ParseSecretAddress(b []byte) (*Address, error) {
	a, err := parseSecretAddress(b)
	if err != nil {
		return nil, fmt.Errorf("parse address: %w", ErrFormat)
	}
	return a, nil
}

func parseSecretAddress(b []byte) (*Address, error) {
	r := reader{b: b}
	if r.byte() != addressVersion {
		r.fail()
	}
	root, ik := r.key(), r.key()
	n := int(r.byte())
	if n == 0 || n > maxAddressKeys || len(b) != addressFixedSize+n*addressKeysSize {
		return nil, ErrFormat
	}
	a := &Address{root: ed25519.NewKeyFromSeed(root[:])}
	var err error
	if a.ik, err = ecdh.X25519().NewPrivateKey(ik[:]); err != nil {
		return nil, ErrFormat
	}
	for i := range n {
		k := addressKeys{ended: r.uint64()}
		dh, seed, bundle := r.key(), r.key(), r.bytes(AddressSize)
		if k.bundle, err = parseAddress(bundle); err != nil {
			return nil, err
		}
		if k.dh, err = ecdh.X25519().NewPrivateKey(dh[:]); err != nil {
			return nil, ErrFormat
		}
		if k.xwing, err = hpke.MLKEM768X25519().NewPrivateKey(seed[:]); err != nil {
			return nil, ErrFormat
		}
		if !bytes.Equal(a.sign(k.bundle, k).Append(nil), bundle) || (k.ended == 0) != (i == 0) || i > 0 && k.bundle.Seq() >= a.keys[i-1].bundle.Seq() {
			return nil, ErrFormat
		}
		a.keys = append(a.keys, k)
	}
	return a, r.done()
}

// String never shows keys.
func (*Address) String() string { return redacted }

// LogValue never shows keys.
func (*Address) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format never shows keys, whatever the verb.
func (*Address) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
