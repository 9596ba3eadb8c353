package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
)

func parse(t *testing.T, c tls.Certificate) []*x509.Certificate {
	t.Helper()
	x, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{x}
}

func ecdsaCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestCertificateSaysNothing: two relays' certificates differ in the key and
// the signature only.
func TestCertificateSaysNothing(t *testing.T) {
	one, err := certificate(seeded("one"))
	if err != nil {
		t.Fatal(err)
	}
	x := parse(t, one)[0]
	if len(x.Subject.Names)+len(x.Issuer.Names)+len(x.Extensions)+len(x.DNSNames)+len(x.IPAddresses) != 0 {
		t.Errorf("fields are set: %v %v %v", x.Subject, x.Issuer, x.Extensions)
	}
	if x.SerialNumber.Cmp(big.NewInt(1)) != 0 || x.NotBefore.Unix() != 0 {
		t.Error("serial number or date tells relays apart")
	}
	again, err := certificate(seeded("one"))
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Certificate[0]) != string(one.Certificate[0]) {
		t.Error("the same key makes different certificates")
	}
}
