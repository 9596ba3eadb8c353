package directory

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

// Specification constants of successor notices (SPEC.md §2.9).
const (
	maxSuccessor     = 2048 // bytes
	maxSuccessorBody = 1024
	successorPrefix  = "HEARSAY-SUCCESSOR:"
)

// ErrBadSuccessor is returned for a successor notice that breaks a rule.
var ErrBadSuccessor = errors.New("directory: successor notice is not valid")

// Successor says that founders of one network propose another one in its place,
// because too few of them are left to change it. A reader shows it and asks; it
// never acts on it alone.
type Successor struct {
	Network    NetworkID // the new one
	Made       time.Time // whole seconds
	Bootstraps []Bootstrap
	By         []FounderKey // roots of the old network that signed
	raw        []byte
}

type successorBody struct {
	V          uint64           `cbor:"1,keyasint"`
	Network    NetworkID        `cbor:"2,keyasint"`
	Made       uint64           `cbor:"3,keyasint"`
	Bootstraps []bootstrapEntry `cbor:"4,keyasint"`
}

// SignSuccessor makes the notice that the network of the link succeeds this
// one, signed by roots of its newest version.
func (c *Chain) SignSuccessor(to NetworkLink, made time.Time, roots ...ed25519.PrivateKey) (*Successor, error) {
	b := successorBody{V: 1, Network: to.ID, Made: uint64(made.Unix())}
	for _, s := range to.Bootstraps {
		b.Bootstraps = append(b.Bootstraps, bootstrapEntry{ID: s.ID, Addr: appendAddr(nil, s.Addr)})
	}
	body, err := encode(&b)
	if err != nil {
		return nil, err
	}
	raw, err := sealDocument(labelSuccessor, c.id, body, roots...)
	if err != nil {
		return nil, err
	}
	return c.ParseSuccessor(raw)
}

// ParseSuccessor reads a notice in its binary or its text form. Every signature
// must be by a root of this network's newest version.
func (c *Chain) ParseSuccessor(b []byte) (*Successor, error) {
	raw, err := unarmor(successorPrefix, b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSuccessor, err)
	}
	d, err := openDocument(labelSuccessor, raw, maxSuccessor)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSuccessor, err)
	}
	s, err := parseSuccessorBody(d.Body)
	if err != nil {
		return nil, err
	}
	if s.Network == c.id {
		return nil, fmt.Errorf("%w: a network does not succeed itself", ErrBadSuccessor)
	}
	for _, r := range c.Current().Roots {
		if d.signedBy(labelSuccessor, c.id, r.Public) {
			s.By = append(s.By, r)
		}
	}
	if len(s.By) != len(d.Signatures) {
		return nil, fmt.Errorf("%w: %w: not by founders of this network", ErrBadSuccessor, ErrSignature)
	}
	s.raw = raw
	return s, nil
}

func parseSuccessorBody(raw []byte) (*Successor, error) {
	var b successorBody
	if err := decode(raw, maxSuccessorBody, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSuccessor, err)
	}
	if b.V != 1 || b.Made > maxUnix || len(b.Bootstraps) < 1 || len(b.Bootstraps) > maxBootstraps {
		return nil, fmt.Errorf("%w: value out of range", ErrBadSuccessor)
	}
	s := &Successor{Network: b.Network, Made: time.Unix(int64(b.Made), 0)}
	for _, e := range b.Bootstraps {
		a, err := parseAddr(e.Addr)
		if err == nil {
			err = CheckAddr(a, true) // the new network's file says whether stricter rules apply
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadSuccessor, err)
		}
		s.Bootstraps = append(s.Bootstraps, Bootstrap{ID: e.ID, Addr: a})
	}
	return s, nil
}

// Cosign adds the signature of another root of the old network.
func (c *Chain) Cosign(s *Successor, root ed25519.PrivateKey) (*Successor, error) {
	d, err := openDocument(labelSuccessor, s.raw, maxSuccessor)
	if err != nil {
		return nil, err
	}
	d.add(signBody(labelSuccessor, c.id, d.Body, root))
	raw, err := encode(&d)
	if err != nil {
		return nil, err
	}
	return c.ParseSuccessor(raw)
}

// Bytes returns the document.
func (s *Successor) Bytes() []byte { return s.raw }

// Text returns the text form: HEARSAY-SUCCESSOR: and base32.
func (s *Successor) Text() string { return armor(successorPrefix, s.raw) }

// Link returns the link of the new network.
func (s *Successor) Link() NetworkLink { return NetworkLink{ID: s.Network, Bootstraps: s.Bootstraps} }
