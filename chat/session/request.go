package session

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Specification constants of the contact request (SPEC.md §4).
const (
	MaxName  = 63  // bytes of a name in a contact request
	MaxHello = 510 // bytes of a greeting in a contact request

	coreSize     = 2704
	coreVersion  = 1
	coreRequest  = 2
	coreZero     = 600
	confirmSize  = 16
	requestDays  = 35 // a request is refused when older: seen ones are remembered so long
	requestAhead = 2  // days by which clocks may differ
)

// Config says in which kind of network a session lives.
type Config struct {
	Lab bool // timers run ten times as fast
}

// RequestConfig is what the guest tells the inviter.
type RequestConfig struct {
	Config
	Queues [2]QAddr // the guest's own queues; the second may be zero
	Name   string   // at most MaxName bytes of UTF-8
	Hello  string   // at most MaxHello bytes of UTF-8
}

// Request is the guest's answer to a bundle.
type Request struct {
	State     *State
	Container []byte // ContainerSize bytes; repeats send the same
}

// Request makes the guest's session and the container for the inviter. Both
// are stored before any of it is sent. ErrFormat if cfg is out of bounds,
// ErrAuth if the bundle holds a bad key.
func (u Bundle) Request(rand io.Reader, now time.Time, cfg RequestConfig) (*Request, error) {
	q, err := u.request(rand, now, cfg)
	if err != nil {
		return nil, fmt.Errorf("make contact request: %w", err)
	}
	return q, nil
}

func (u Bundle) request(rand io.Reader, now time.Time, cfg RequestConfig) (*Request, error) {
	if err := checkPair(cfg.Queues); err != nil {
		return nil, err
	}
	if !validField(cfg.Name, MaxName) || !validField(cfg.Hello, MaxHello) {
		return nil, fmt.Errorf("name or greeting: %w", ErrFormat)
	}
	ik, err := newDH(rand)
	if err != nil {
		return nil, err
	}
	ep, err := newDH(rand)
	if err != nil {
		return nil, err
	}
	dh, err := newDH(rand)
	if err != nil {
		return nil, err
	}
	offer, err := newOffer(rand)
	if err != nil {
		return nil, err
	}
	c := requestCore{
		ik: [keySize]byte(ik.PublicKey().Bytes()), ep: [keySize]byte(ep.PublicKey().Bytes()), dh: [keySize]byte(dh.PublicKey().Bytes()),
		kem: offer.EncapsulationKey().Bytes(), queues: cfg.Queues, day: unixDay(now), name: cfg.Name, hello: cfg.Hello,
	}
	core := c.append(nil)

	bundleHash := sha256.Sum256(u.Append(nil))
	xwing, err := hpke.MLKEM768X25519().NewPublicKey(u.xwing[:])
	if err != nil {
		return nil, ErrFormat
	}
	enc, sender, err := hpke.NewSender(xwing, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), requestInfo(bundleHash))
	if err != nil {
		return nil, ErrAuth
	}
	sealed, err := sender.Seal(nil, core)
	if err != nil {
		return nil, ErrAuth
	}
	exported, err := sender.Export(labelExport, keySize)
	if err != nil {
		return nil, ErrAuth
	}
	dh1, err := agree(ik, u.dh[:])
	if err != nil {
		return nil, err
	}
	dh2, err := agree(ep, u.ik[:])
	if err != nil {
		return nil, err
	}
	dh3, err := agree(ep, u.dh[:])
	if err != nil {
		return nil, err
	}
	th := hash(labelTranscript, bundleHash[:], core)
	k := deriveSessionKeys(th, dh1, dh2, dh3, exported)
	confirm := mac(k.confirm[:], th[:])
	container := append(append(enc, sealed...), confirm[:confirmSize]...)

	s, err := newInitiator(now, cfg.Config, th, k, ik, dh, offer, u)
	if err != nil {
		return nil, err
	}
	return &Request{State: s, Container: container}, nil
}

// requestInfo is the HPKE info: it binds the type of the container and the
// bundle that it answers.
func requestInfo(bundleHash [32]byte) []byte {
	return append([]byte(labelRequest), bundleHash[:]...)
}

// sessionKeys is the outcome of the key schedule (SPEC.md §4.4).
type sessionKeys struct {
	root, headerA, nextB, confirm, drop [keySize]byte
}

func deriveSessionKeys(th [32]byte, dh1, dh2, dh3, exported []byte) (k sessionKeys) {
	ikm := make([]byte, 32, 32+4*keySize)
	for i := range ikm {
		ikm[i] = 0xFF
	}
	for _, p := range [][]byte{dh1, dh2, dh3, exported} {
		ikm = append(ikm, p...)
	}
	var out [5 * keySize]byte
	derive(out[:], ikm, th[:], labelSessionKeys)
	for i, dst := range []*[keySize]byte{&k.root, &k.headerA, &k.nextB, &k.confirm, &k.drop} {
		copy(dst[:], out[i*keySize:])
	}
	clear(ikm)
	clear(out[:])
	return k
}

// requestCore is the plaintext of the container (SPEC.md §4.3).
type requestCore struct {
	ik, ep, dh [keySize]byte
	kem        []byte
	queues     [2]QAddr
	day        uint32
	name       string
	hello      string
}

func (c requestCore) append(b []byte) []byte {
	b = append(b, coreVersion, coreRequest, 0, 0)
	b = append(b, c.ik[:]...)
	b = append(b, c.ep[:]...)
	b = append(b, c.dh[:]...)
	b = append(b, c.kem...)
	b = c.queues[0].Append(b)
	b = c.queues[1].Append(b)
	b = binary.BigEndian.AppendUint32(b, c.day)
	b = append(b, byte(len(c.name)))
	b = append(b, c.name...)
	b = append(b, make([]byte, MaxName-len(c.name))...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.hello)))
	b = append(b, c.hello...)
	b = append(b, make([]byte, MaxHello-len(c.hello))...)
	return append(b, make([]byte, coreZero)...)
}

// parseRequestCore checks every field but the keys' group, which the key
// agreements do.
func parseRequestCore(now time.Time, b []byte) (requestCore, error) {
	var c requestCore
	r := reader{b: b}
	if r.byte() != coreVersion || r.byte() != coreRequest {
		r.fail()
	}
	r.zero(2)
	c.ik, c.ep, c.dh = r.key(), r.key(), r.key()
	c.kem = r.bytes(kemKeySize)
	queues := r.bytes(2 * QAddrSize)
	c.day = r.uint32()
	c.name = r.text(int(r.byte()), MaxName)
	c.hello = r.text(int(r.uint16()), MaxHello)
	r.zero(coreZero)
	if err := r.done(); err != nil {
		return c, err
	}
	var err error
	if c.queues, err = parsePair(queues); err != nil {
		return c, err
	}
	if err := checkKEM(c.kem); err != nil {
		return c, err
	}
	if today := unixDay(now); c.day > today+requestAhead || today >= c.day && today-c.day >= requestDays {
		return c, fmt.Errorf("day of the request: %w", ErrFormat)
	}
	return c, nil
}

// text reads a field of size bytes of which the first n are UTF-8 and the rest
// is zero.
func (r *reader) text(n, size int) string {
	b := r.bytes(size)
	if n > size || !utf8.Valid(b[:min(n, size)]) || !allZero(b[min(n, size):]) {
		r.fail()
		return ""
	}
	return string(b[:n])
}

func validField(s string, size int) bool { return len(s) <= size && utf8.ValidString(s) }
