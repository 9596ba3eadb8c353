package onion

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"hearsay/circuit/cell"
)

// Specification constants (SPEC.md §2).
const (
	Version = 1
	Suite   = 1 // NKpsk2, X25519, ML-KEM-768, ChaCha20-Poly1305, SHA-256

	createHeader = 8
	createdKEM   = mlkem.CiphertextSize768
)

// ErrHandshake is the one error of a handshake that failed by what the other
// side sent. Nobody is told more.
var ErrHandshake = errors.New("onion: hop handshake failed")

// Params says with whom a client shakes hands and what it asks.
type Params struct {
	Network    [32]byte
	Identity   [32]byte // of the relay
	OnionKey   [32]byte // X25519, from the relay's snapshot entry
	OnionEpoch uint32   // not_before of the onion key, Unix seconds
	Options    cell.Options
}

// OnionKey is a relay's X25519 key of one period. It prints as nothing.
type OnionKey struct {
	notBefore uint32
	key       *ecdh.PrivateKey
}

// NewOnionKey makes an onion key of 32 private bytes.
func NewOnionKey(private [32]byte, notBefore uint32) (OnionKey, error) {
	k, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		return OnionKey{}, fmt.Errorf("onion key: %w", err)
	}
	return OnionKey{notBefore: notBefore, key: k}, nil
}

// Public returns the X25519 public key, 32 bytes.
func (k OnionKey) Public() [32]byte { return [32]byte(k.key.PublicKey().Bytes()) }

// NotBefore returns the key epoch, Unix seconds.
func (k OnionKey) NotBefore() uint32 { return k.notBefore }

// String redacts.
func (k OnionKey) String() string { return "onion key (redacted)" }

// prologue is the text that both sides mix into the handshake, 84 bytes.
func prologue(network, identity *[32]byte, epoch uint32) []byte {
	b := make([]byte, 0, 84)
	b = append(b, labelHop...)
	b = binary.BigEndian.AppendUint16(b, Version)
	b = append(b, Suite)
	b = binary.BigEndian.AppendUint32(b, epoch)
	b = append(b, network[:]...)
	return append(b, identity[:]...)
}

// presharedKey derives the Noise psk from the KEM secret, bound to everything
// that was said before (SPEC.md §2.3).
func presharedKey(ss, prologue, ek, ct, msg1 []byte) ([]byte, error) {
	h := sha256.New()
	h.Write([]byte(labelKEM))
	h.Write(prologue)
	h.Write(ek)
	h.Write(ct)
	h.Write(msg1)
	return hkdf.Key(sha256.New, ss, h.Sum(nil), labelPSK, 32)
}

func noiseConfig(rnd io.Reader, dh *x25519, prologue []byte) noise.Config {
	return noise.Config{
		CipherSuite:           noise.NewCipherSuite(dh, noise.CipherChaChaPoly, noise.HashSHA256),
		Random:                rnd,
		Pattern:               noise.HandshakeNK,
		Prologue:              prologue,
		PresharedKeyPlacement: 2,
	}
}

// ClientHandshake is one handshake in progress. It is used once.
type ClientHandshake struct {
	state    *noise.HandshakeState
	dk       *mlkem.DecapsulationKey768
	prologue []byte
	msg1     []byte
	asked    cell.Options
}

// NewClientHandshake starts a handshake and returns the CREATE message
// (cell.CreateSize bytes). p.Options must have a slot. It fails if the relay's
// key is unusable.
func NewClientHandshake(rnd io.Reader, p Params) (*ClientHandshake, []byte, error) {
	if !p.Options.HasSlot {
		return nil, nil, errors.New("onion: a CREATE needs a slot")
	}
	var seed [mlkem.SeedSize]byte
	if _, err := io.ReadFull(rnd, seed[:]); err != nil {
		return nil, nil, fmt.Errorf("onion: randomness: %w", err)
	}
	dk, err := mlkem.NewDecapsulationKey768(seed[:])
	clear(seed[:])
	if err != nil {
		return nil, nil, fmt.Errorf("onion: %w", err)
	}
	h := &ClientHandshake{dk: dk, prologue: prologue(&p.Network, &p.Identity, p.OnionEpoch), asked: p.Options}
	cfg := noiseConfig(rnd, &x25519{}, h.prologue)
	cfg.Initiator = true
	cfg.PeerStatic = p.OnionKey[:]
	if h.state, err = noise.NewHandshakeState(cfg); err != nil {
		return nil, nil, fmt.Errorf("onion: %w", err)
	}
	create := make([]byte, createHeader, cell.CreateSize)
	binary.BigEndian.PutUint16(create, Version)
	create[2] = Suite
	binary.BigEndian.PutUint32(create[4:], p.OnionEpoch)
	payload := p.Options.Append(dk.EncapsulationKey().Bytes())
	create, _, _, err = h.state.WriteMessage(create, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("onion: %w", err)
	}
	h.msg1 = create[createHeader:]
	return h, create, nil
}

// Finish takes the CREATED message (cell.CreatedSize bytes) and returns the
// layer and the options that the relay accepted, which are never more than was
// asked. Whatever is wrong with the message gives ErrHandshake.
func (h *ClientHandshake) Finish(created []byte) (*Layer, cell.Options, error) {
	if len(created) != cell.CreatedSize {
		return nil, cell.Options{}, ErrHandshake
	}
	ct, msg2 := created[:createdKEM], created[createdKEM:]
	ss, err := h.dk.Decapsulate(ct)
	if err != nil {
		return nil, cell.Options{}, ErrHandshake
	}
	psk, err := presharedKey(ss, h.prologue, h.dk.EncapsulationKey().Bytes(), ct, h.msg1)
	clear(ss)
	if err != nil {
		return nil, cell.Options{}, ErrHandshake
	}
	defer clear(psk)
	if err := h.state.SetPresharedKey(psk); err != nil {
		return nil, cell.Options{}, ErrHandshake
	}
	payload, forward, backward, err := h.state.ReadMessage(nil, msg2)
	if err != nil || forward == nil {
		return nil, cell.Options{}, ErrHandshake
	}
	got, err := cell.ParseOptions(payload)
	if err != nil || !acceptable(h.asked, got) {
		return nil, cell.Options{}, ErrHandshake
	}
	l := split(h.asked.Slot, forward, backward)
	h.dk, h.state = nil, nil
	return l, got, nil
}

// acceptable checks that a relay states nothing that was not asked, and no
// credit above what was asked.
func acceptable(asked, got cell.Options) bool {
	if got.HasSlot || got.HasCredit != asked.HasCredit {
		return false
	}
	return !got.HasCredit || got.Initial <= asked.Initial && got.Max <= asked.Max
}

// Respond answers a CREATE message (cell.CreateSize bytes) as the relay with
// the given identity and onion keys. accept turns the options asked into those
// accepted; it must keep slot out and never raise credit. It returns the
// relay's layer, the options asked, and the CREATED message (cell.CreatedSize
// bytes). Whatever is wrong with the message gives ErrHandshake.
func Respond(rnd io.Reader, network, identity [32]byte, keys []OnionKey, create []byte, accept func(cell.Options) cell.Options) (*Layer, cell.Options, []byte, error) {
	return respond(rnd, network, identity, keys, create, accept, func(ek *mlkem.EncapsulationKey768) ([]byte, []byte) {
		return ek.Encapsulate()
	})
}

func respond(rnd io.Reader, network, identity [32]byte, keys []OnionKey, create []byte, accept func(cell.Options) cell.Options,
	encapsulate func(*mlkem.EncapsulationKey768) (ss, ct []byte),
) (*Layer, cell.Options, []byte, error) {
	fail := func() (*Layer, cell.Options, []byte, error) { return nil, cell.Options{}, nil, ErrHandshake }
	if len(create) != cell.CreateSize || binary.BigEndian.Uint16(create) != Version || create[2] != Suite || create[3] != 0 {
		return fail()
	}
	epoch := binary.BigEndian.Uint32(create[4:])
	var key *ecdh.PrivateKey
	for _, k := range keys {
		if k.notBefore == epoch {
			key = k.key
		}
	}
	if key == nil {
		return fail()
	}
	msg1 := create[createHeader:]
	pro := prologue(&network, &identity, epoch)
	dh := &x25519{}
	cfg := noiseConfig(rnd, dh, pro)
	cfg.StaticKeypair = dh.keep(key)
	state, err := noise.NewHandshakeState(cfg)
	if err != nil {
		return fail()
	}
	payload, _, _, err := state.ReadMessage(nil, msg1)
	if err != nil || len(payload) != mlkem.EncapsulationKeySize768+cell.OptionsSize {
		return fail()
	}
	asked, err := cell.ParseOptions(payload[mlkem.EncapsulationKeySize768:])
	if err != nil || !asked.HasSlot {
		return fail()
	}
	ekBytes := payload[:mlkem.EncapsulationKeySize768]
	ek, err := mlkem.NewEncapsulationKey768(ekBytes)
	if err != nil {
		return fail()
	}
	ss, ct := encapsulate(ek)
	psk, err := presharedKey(ss, pro, ekBytes, ct, msg1)
	clear(ss)
	if err != nil {
		return fail()
	}
	defer clear(psk)
	if err := state.SetPresharedKey(psk); err != nil {
		return fail()
	}
	created := append(make([]byte, 0, cell.CreatedSize), ct...)
	created, forward, backward, err := state.WriteMessage(created, accept(asked).Append(nil))
	if err != nil || forward == nil {
		return fail()
	}
	// Noise returns the states in initiator→responder order on both sides.
	return split(asked.Slot, forward, backward), asked, created, nil
}

// split copies the keys out of the Noise states into a layer.
func split(slot int, forward, backward *noise.CipherState) *Layer {
	f, b := forward.UnsafeKey(), backward.UnsafeKey()
	l := newLayer(slot, &f, &b)
	clear(f[:])
	clear(b[:])
	return l
}
