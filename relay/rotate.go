package relay

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearsay/directory"
	"hearsay/directory/signer"
)

// Files of a signer whose online key is replaced (SPEC.md §7.7).
const (
	fileCertificate = "certificate"
	fileNextOnline  = "online-next.key"
)

// Errors of rotation that callers decide on.
var (
	// ErrIdentityOffline is returned for a home without the signer's identity
	// key, which was moved to another computer.
	ErrIdentityOffline = errors.New("relay: the signer's identity key is not in this home")
	ErrNotSigner       = errors.New("relay: the certificate is not by a signer of this network for this home's key")
)

// RotateOnline replaces the online key of a signer and certifies the new one
// with a higher number, so that the old one counts no more. The home must not
// be in use. It fails with ErrIdentityOffline if the identity key is elsewhere:
// then NextOnline, Certify there, and InstallCertificate do it.
func RotateOnline(dir string) (directory.Certificate, error) {
	var none directory.Certificate
	raw, err := certifyNext(dir)
	if err != nil {
		return none, err
	}
	return InstallCertificate(dir, raw)
}

func certifyNext(dir string) ([]byte, error) {
	if b, err := (&home{dir: dir}).read(fileSigner); err != nil || b == nil {
		return nil, cmp.Or(err, ErrIdentityOffline)
	}
	pub, err := NextOnline(dir)
	if err != nil {
		return nil, err
	}
	return Certify(dir, pub)
}

// NextOnline makes the key that is to follow a home's online key, if it is not
// made yet, and returns its public half. The home must not be in use.
func NextOnline(dir string) ([32]byte, error) {
	h, err := openHome(dir)
	if err != nil {
		return [32]byte{}, err
	}
	defer h.close()
	if c, err := h.history(); err != nil || c == nil {
		return [32]byte{}, cmp.Or(err, ErrNoNetwork)
	}
	k, err := h.key(fileNextOnline, keyOnline, time.Now())
	return public(k), err
}

// Certify certifies an online key with the signer's identity key in the home,
// which also needs the file of the network. The number is the time in seconds,
// or one more than that of the home's last certificate: so a computer that only
// holds the identity key needs to know of no earlier one.
func Certify(dir string, online [32]byte) ([]byte, error) {
	h := &home{dir: dir}
	chain, err := FounderChain(dir)
	if err != nil {
		return nil, err
	}
	b, err := h.read(fileSigner)
	if err != nil || b == nil {
		return nil, cmp.Or(err, ErrIdentityOffline)
	}
	k, err := parseKeyFile(b, keySigner)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, h.path(fileSigner))
	}
	now := time.Now()
	seq := uint64(now.Unix())
	last, err := h.read(fileCertificate)
	if err != nil {
		return nil, err
	}
	if last != nil {
		c, err := directory.ParseCertificate(chain.ID(), last)
		if err != nil {
			return nil, err
		}
		seq = max(seq, c.Seq+1)
	}
	return signer.NewCertificate(chain.ID(), ed25519.NewKeyFromSeed(k.secret[:]), online[:], seq, now)
}

// InstallCertificate puts a certificate into a home, which must not be in use,
// and the online key that it is for: the present one or that of NextOnline.
func InstallCertificate(dir string, raw []byte) (directory.Certificate, error) {
	var none directory.Certificate
	h, err := openHome(dir)
	if err != nil {
		return none, err
	}
	defer h.close()
	chain, err := h.history()
	if err != nil || chain == nil {
		return none, cmp.Or(err, ErrNoNetwork)
	}
	c, err := directory.ParseCertificate(chain.ID(), raw)
	if err != nil {
		return none, err
	}
	if !c.Covers(time.Now()) {
		return none, fmt.Errorf("%w: it is of %s to %s", directory.ErrExpired, c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
	}
	if !slices.ContainsFunc(chain.Current().Signers, func(k directory.FounderKey) bool { return k.Public == c.Signer }) {
		return none, ErrNotSigner
	}
	next, err := h.onlineKey(fileNextOnline)
	if err != nil {
		return none, err
	}
	present, err := h.onlineKey(fileOnline)
	if err != nil {
		return none, err
	}
	switch c.Online {
	case next:
		// The certificate first: one for a key that is not in use yet is ignored.
		err = errors.Join(h.write(fileCertificate, raw), h.rename(fileNextOnline, fileOnline))
	case present:
		err = h.write(fileCertificate, raw)
	default:
		return none, ErrNotSigner
	}
	return c, err
}

// signerKeys returns the signer's identity key, nil if it was moved offline, and
// the certificate that was brought here, nil if there is none.
func (h *home) signerKeys() (ed25519.PrivateKey, []byte, error) {
	certificate, err := h.read(fileCertificate)
	if err != nil {
		return nil, nil, err
	}
	b, err := h.read(fileSigner)
	if b == nil || err != nil {
		return nil, certificate, err
	}
	k, err := parseKeyFile(b, keySigner)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s", err, h.path(fileSigner))
	}
	return ed25519.NewKeyFromSeed(k.secret[:]), certificate, nil
}

// onlineKey returns the public half of an online key, zero if there is none.
func (h *home) onlineKey(name string) ([32]byte, error) {
	b, err := h.read(name)
	if b == nil || err != nil {
		return [32]byte{}, err
	}
	k, err := parseKeyFile(b, keyOnline)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %s", err, h.path(name))
	}
	return public(k), nil
}
