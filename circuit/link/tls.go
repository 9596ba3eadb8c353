package link

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/directory"
)

// credentials are what a node shows: the certificate of its link key and the
// proof that binds the key to the identity. They change with the link key.
type credentials struct {
	network  directory.NetworkID
	identity ed25519.PrivateKey
	id       directory.RelayID
	link     [32]byte // public key of the leaf
	cert     tls.Certificate

	mu    sync.Mutex
	proof proof // renewed once a day
}

func newCredentials(network directory.NetworkID, id *Identity) (*credentials, error) {
	if len(id.Key) != ed25519.PrivateKeySize || len(id.LinkKey) != ed25519.PrivateKeySize {
		return nil, errors.New("link: identity needs two Ed25519 keys")
	}
	cert, err := certificate(id.LinkKey)
	if err != nil {
		return nil, err
	}
	c := &credentials{network: network, identity: id.Key, cert: cert}
	copy(c.id[:], id.Key.Public().(ed25519.PublicKey))
	copy(c.link[:], id.LinkKey.Public().(ed25519.PublicKey))
	return c, nil
}

// certificate makes the self-signed certificate of a link key. All its fields
// are constant or empty, so it says nothing but the key (SPEC.md §2.2).
func certificate(key ed25519.PrivateKey) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0).UTC(),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("link: make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// baseTLS is TLS 1.3 with the hybrid key exchange and no other: whoever offers
// only a classical one gets no connection (SPEC.md §2.1).
func baseTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{alpn},
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768},
		SessionTicketsDisabled: true,
	}
}

// serverTLS asks for a certificate but takes any or none: who a peer is gets
// decided after the handshake, so that a lagging directory partitions nobody.
func serverTLS(creds func() *credentials) *tls.Config {
	c := baseTLS()
	c.ClientAuth = tls.RequestClientCert
	c.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
		now := creds()
		if v, ok := info.Context().Value(visitKey{}).(*visit); ok {
			v.creds = now // LINK_HELLO must vouch for this certificate, not for a later one
		}
		return &now.cert, nil
	}
	return c
}

// dialTLS accepts exactly one certificate, whose key is the pinned one, or any
// Ed25519 key if pin is zero (SPEC.md §2.3). creds is nil for clients.
func dialTLS(pin [32]byte, creds *credentials) *tls.Config {
	c := baseTLS()
	c.InsecureSkipVerify = true // VerifyConnection does it: there is no authority to ask
	c.VerifyConnection = func(s tls.ConnectionState) error {
		leaf, ok := leafKey(s)
		if !ok || pin != ([32]byte{}) && leaf != pin {
			return ErrWrongKey
		}
		return nil
	}
	if creds != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &creds.cert, nil }
	}
	return c
}

// leafKey returns the Ed25519 key of the one certificate that the peer showed.
func leafKey(s tls.ConnectionState) (leaf [32]byte, ok bool) {
	if len(s.PeerCertificates) != 1 {
		return leaf, false
	}
	pub, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(pub) != len(leaf) {
		return leaf, false
	}
	copy(leaf[:], pub)
	return leaf, true
}

// newTransport puts the settings on a socket that all its connections share.
func newTransport() *quic.Transport {
	return &quic.Transport{ConnectionIDLength: connectionIDLength}
}
