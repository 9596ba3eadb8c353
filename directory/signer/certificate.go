package signer

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"hearsay/directory"
)

// warnBefore is how long before the end of its certificate a signer whose
// identity key is offline begins to warn.
const warnBefore = 14 * 24 * time.Hour

// ErrNoCertificate is returned if there is neither a valid certificate for the
// online key nor the identity key to make one.
var ErrNoCertificate = errors.New("signer: no valid certificate for the online key; renew it with the identity key")

// chooseCertificate takes the certificate with the highest number that is for
// the online key: the one given, or the one in the book.
func (s *Signer) chooseCertificate(network directory.NetworkID) error {
	online := [32]byte(s.cfg.Online.Public().(ed25519.PublicKey))
	var best uint64
	var chosen []byte
	s.certSeq = 0
	for _, raw := range [][]byte{s.cfg.Certificate, s.pages.certificate} {
		if raw == nil {
			continue
		}
		c, err := directory.ParseCertificate(network, raw)
		if err != nil {
			return err
		}
		s.certSeq = max(s.certSeq, c.Seq)
		if c.Online == online && c.Seq > best {
			best, chosen = c.Seq, raw
		}
	}
	s.pages.certificate = chosen
	return nil
}

// renew makes a certificate if there is none, or if it is 60 days old. With the
// identity key offline it warns when the end is near.
func (s *Signer) renew(network directory.NetworkID, now time.Time) error {
	var c directory.Certificate
	if s.pages.certificate != nil {
		var err error
		if c, err = directory.ParseCertificate(network, s.pages.certificate); err != nil {
			return err
		}
		if c.Covers(now) && now.Sub(c.NotBefore) < directory.CertificateRenewal {
			return nil
		}
	}
	if s.cfg.Identity == nil {
		if s.pages.certificate == nil || !c.Covers(now) {
			return ErrNoCertificate
		}
		if left := c.NotAfter.Sub(now); left < warnBefore {
			s.log.Warn("the online key's certificate ends soon and the identity key is not here", "days", int(left.Hours()/24))
		}
		return nil
	}
	raw, err := NewCertificate(network, s.cfg.Identity, s.cfg.Online.Public().(ed25519.PublicKey), s.certSeq+1, now)
	if err != nil {
		return err
	}
	s.certSeq++
	if c, err = directory.ParseCertificate(network, raw); err != nil {
		return err
	}
	s.certified(c)
	// It is written down with the next snapshot, the first thing it signs.
	s.pages.certificate = raw
	return nil
}

// NewCertificate certifies an online key for 90 days from a day before now on,
// so that a clock that is a little late accepts it.
func NewCertificate(network directory.NetworkID, identity ed25519.PrivateKey, online ed25519.PublicKey, seq uint64, now time.Time) ([]byte, error) {
	from := time.Unix(now.Add(-24*time.Hour).Unix(), 0)
	raw, err := directory.Certificate{
		Online: [32]byte(online), NotBefore: from, NotAfter: from.Add(directory.MaxCertificateLife), Seq: seq,
	}.Sign(network, identity)
	if err != nil {
		return nil, fmt.Errorf("certify online key: %w", err)
	}
	return raw, nil
}
