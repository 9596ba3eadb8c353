package session

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"time"

	"hearsay/directory"
)

// Invite is the inviter's private half of a one-time invite.
type Invite struct {
	ik, dh *ecdh.PrivateKey
	xwing  hpke.PrivateKey
	bundle Bundle
}

// NewInvite makes the keys of a one-time invite for the two queues (the second
// may be zero), valid up to and including the day of expires (UTC).
func NewInvite(rand io.Reader, network directory.NetworkID, queues [2]QAddr, expires time.Time) (*Invite, error) {
	if err := checkPair(queues); err != nil {
		return nil, fmt.Errorf("new invite: %w", err)
	}
	i := &Invite{bundle: Bundle{Network: network, Queues: queues, Expires: unixDay(expires)}}
	var err error
	if i.ik, err = newDH(rand); err != nil {
		return nil, fmt.Errorf("new invite: %w", err)
	}
	if i.dh, err = newDH(rand); err != nil {
		return nil, fmt.Errorf("new invite: %w", err)
	}
	var seed [keySize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("new invite: %w", err)
	}
	if i.xwing, err = hpke.MLKEM768X25519().NewPrivateKey(seed[:]); err != nil {
		return nil, fmt.Errorf("new invite: %w", err)
	}
	if _, err := io.ReadFull(rand, i.bundle.salt[:]); err != nil {
		return nil, fmt.Errorf("new invite: %w", err)
	}
	i.fillBundle()
	return i, nil
}

// fillBundle sets the public keys of the bundle.
func (i *Invite) fillBundle() {
	copy(i.bundle.ik[:], i.ik.PublicKey().Bytes())
	copy(i.bundle.dh[:], i.dh.PublicKey().Bytes())
	copy(i.bundle.xwing[:], i.xwing.PublicKey().Bytes())
}

// Bundle returns the public half.
func (i *Invite) Bundle() Bundle { return i.bundle }

// Link returns the link that opens the invite.
func (i *Invite) Link() Link {
	l := Link{Network: [4]byte(i.bundle.Network[:4]), Key: linkKeyOf(i.bundle.Append(nil))}
	for n, q := range i.bundle.Queues {
		l.Relays[n] = q.Relay.Prefix()
	}
	return l
}

// SealBlob seals the bundle for the relays named in the link: BlobSize bytes,
// different at each call.
func (i *Invite) SealBlob(rand io.Reader) ([]byte, error) {
	return i.Link().sealBlob(rand, i.bundle.Append(nil))
}

// String never shows keys.
func (*Invite) String() string { return redacted }

// LogValue never shows keys.
func (*Invite) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format never shows keys, whatever the verb.
func (*Invite) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

const inviteVersion = 1

// Append appends the serialised invite: secret, of constant length.
func (i *Invite) Append(b []byte) []byte {
	seed, err := i.xwing.Bytes()
	if err != nil {
		panic("session: X-Wing key without seed: " + err.Error()) // we made it from one
	}
	b = append(b, inviteVersion)
	b = append(b, i.ik.Bytes()...)
	b = append(b, i.dh.Bytes()...)
	b = append(b, seed...)
	return i.bundle.Append(b)
}

// ParseInvite parses what Append wrote; ErrFormat if anything is wrong, keys
// that do not fit the bundle included.
func ParseInvite(b []byte) (*Invite, error) {
	r := reader{b: b}
	if r.byte() != inviteVersion {
		r.fail()
	}
	ik, dh, seed := r.key(), r.key(), r.key()
	bundle := r.bytes(BundleSize)
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("parse invite: %w", err)
	}
	i := &Invite{}
	var err error
	if i.bundle, err = parseBundle(bundle); err != nil {
		return nil, fmt.Errorf("parse invite: %w", err)
	}
	if i.ik, err = ecdh.X25519().NewPrivateKey(ik[:]); err != nil {
		return nil, fmt.Errorf("parse invite: %w", ErrFormat)
	}
	if i.dh, err = ecdh.X25519().NewPrivateKey(dh[:]); err != nil {
		return nil, fmt.Errorf("parse invite: %w", ErrFormat)
	}
	if i.xwing, err = hpke.MLKEM768X25519().NewPrivateKey(seed[:]); err != nil {
		return nil, fmt.Errorf("parse invite: %w", ErrFormat)
	}
	i.fillBundle()
	if subtle.ConstantTimeCompare(i.bundle.Append(nil), bundle) != 1 {
		return nil, fmt.Errorf("parse invite: keys do not fit: %w", ErrFormat)
	}
	return i, nil
}

// Accepted is a contact request that proved itself.
type Accepted struct {
	State  *State
	Core   [32]byte // SHA-256 of the request core: refuse one seen within 35 days
	Queues [2]QAddr // where to write to the guest; the second may be zero
	Name   string   // what the guest calls itself; may be empty; not sanitised
	Hello  string   // not sanitised
}

// Accept opens a contact request (SPEC.md §4.4). The caller refuses it if it has
// seen Core before, and deletes the invite in the transaction that stores the
// state. ErrFormat or ErrAuth otherwise; the invite is as good as before then.
func (i *Invite) Accept(now time.Time, cfg Config, container []byte) (*Accepted, error) {
	a, err := i.accept(now, cfg, container)
	if err != nil {
		return nil, fmt.Errorf("contact request: %w", err)
	}
	return a, nil
}

func (i *Invite) accept(now time.Time, cfg Config, container []byte) (*Accepted, error) {
	if len(container) != ContainerSize {
		return nil, ErrFormat
	}
	enc := container[:encSize]
	sealed := container[encSize : ContainerSize-confirmSize]
	confirm := container[ContainerSize-confirmSize:]

	bundleHash := sha256.Sum256(i.bundle.Append(nil))
	rcpt, err := hpke.NewRecipient(enc, i.xwing, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), requestInfo(bundleHash))
	if err != nil {
		return nil, ErrAuth
	}
	core, err := rcpt.Open(nil, sealed)
	if err != nil {
		return nil, ErrAuth
	}
	q, err := parseRequestCore(now, core)
	if err != nil {
		return nil, err
	}
	exported, err := rcpt.Export(labelExport, keySize)
	if err != nil {
		return nil, ErrAuth
	}
	dh1, err := agree(i.dh, q.ik[:])
	if err != nil {
		return nil, err
	}
	dh2, err := agree(i.ik, q.ep[:])
	if err != nil {
		return nil, err
	}
	dh3, err := agree(i.dh, q.ep[:])
	if err != nil {
		return nil, err
	}
	th := hash(labelTranscript, bundleHash[:], core)
	k := deriveSessionKeys(th, dh1, dh2, dh3, exported)
	want := mac(k.confirm[:], th[:])
	if subtle.ConstantTimeCompare(want[:confirmSize], confirm) != 1 {
		return nil, ErrAuth
	}
	s, err := newResponder(now, cfg, th, k, i.ik, i.dh, q)
	if err != nil {
		return nil, err
	}
	return &Accepted{State: s, Core: sha256.Sum256(core), Queues: q.queues, Name: q.name, Hello: q.hello}, nil
}

// checkKEM refuses an encapsulation key that ML-KEM does not take.
func checkKEM(ek []byte) error {
	if _, err := mlkem.NewEncapsulationKey768(ek); err != nil {
		return ErrFormat
	}
	return nil
}
