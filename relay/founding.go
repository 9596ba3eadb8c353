package relay

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"hearsay/directory"
)

// Founding says what network to found.
type Founding struct {
	Name   string
	Listen netip.AddrPort // of the directory node, the first bootstrap; with a port
	Join   directory.Join
	Lab    bool
	// Passphrase seals the root key. Nil: in a lab network file mode alone
	// keeps it; another network is not founded so.
	Passphrase []byte
}

// Errors of founding that callers decide on.
var (
	ErrFounded    = errors.New("relay: this home has a network already")
	ErrPassphrase = errors.New("relay: the root key needs a passphrase")
)

// Files of a founder's home, and the life of a network file.
const (
	fileRoot   = "root.key"
	fileSigner = "signer.key"
	fileOnline = "online.key"

	networkLife = 730 * day
)

// Found founds a solo network in a new home: root key, signer identity, the
// identity of the directory node, and version 1 of the network file. It
// returns the network link.
func Found(dir string, f Founding) (directory.NetworkLink, error) {
	var none directory.NetworkLink
	if len(f.Passphrase) == 0 && !f.Lab {
		return none, ErrPassphrase
	}
	if f.Listen.Port() == 0 {
		return none, fmt.Errorf("%w: the network link holds it, so it needs a port", ErrAddress)
	}
	if err := directory.CheckAddr(f.Listen, f.Lab); err != nil {
		return none, fmt.Errorf("%w: %s: %w", ErrAddress, f.Listen, err)
	}
	h, err := openHome(dir)
	if err != nil {
		return none, err
	}
	defer h.close()
	if old, err := h.read(fileNetwork); old != nil || err != nil {
		return none, errors.Join(err, ErrFounded)
	}
	now := time.Unix(time.Now().Unix(), 0)
	k, err := loadKeys(h, now)
	if err != nil {
		return none, err
	}
	signer, err := h.makeKey(fileSigner, keySigner, now)
	if err != nil {
		return none, err
	}
	root := keyFile{kind: keyRoot, from: now}
	rand.Read(root.secret[:])
	if err := h.write(fileRoot, sealRoot(root, f.Passphrase)); err != nil {
		return none, err
	}
	file := directory.NetworkFile{
		Name: f.Name, Created: now, Expires: now.Add(networkLife), Join: f.Join, Lab: f.Lab,
		Roots:      []directory.FounderKey{{Public: public(root)}},
		Signers:    []directory.FounderKey{{Public: public(signer)}},
		Bootstraps: []directory.Bootstrap{{ID: k.id().Prefix(), Addr: f.Listen}},
	}
	rand.Read(file.Salt[:])
	raw, id, err := directory.Found(file, ed25519.NewKeyFromSeed(root.secret[:]))
	if err != nil {
		return none, err
	}
	chain, err := directory.VerifyChain(id, [][]byte{raw}, now)
	if err != nil {
		return none, err
	}
	return chain.Link(nil), h.saveNetwork(id, [][]byte{raw})
}

func public(k keyFile) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(k.secret[:]).Public().(ed25519.PublicKey))
}

// sealRoot encodes the root key: as a plain key file, or, sealed by a
// passphrase, version u8, kind u8, zero 6, from u64, salt 16, nonce 24, and
// XChaCha20-Poly1305 over the secret, with all before the salt as additional
// data (SPEC.md §7.5).
func sealRoot(k keyFile, passphrase []byte) []byte {
	if len(passphrase) == 0 {
		return k.append(nil)
	}
	k.kind = keyRootSealed
	head := k.append(nil)[:16]
	salt, nonce := make([]byte, 16), make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(salt)
	rand.Read(nonce)
	const times, memoryKiB, threads = 3, 256 << 10, 4
	aead, err := chacha20poly1305.NewX(argon2.IDKey(passphrase, salt, times, memoryKiB, threads, chacha20poly1305.KeySize))
	if err != nil {
		panic("relay: " + err.Error()) // the key has 32 bytes
	}
	b := append(append(append([]byte(nil), head...), salt...), nonce...)
	return aead.Seal(b, nonce, k.secret[:], append([]byte(labelRoot), head...))
}

// IssueToken makes a relay token with the signer key of a founder's home,
// which may be in use, and returns the network link that carries it. Uses are
// 1 to 10, days 1 to 30.
func IssueToken(dir string, uses, days int) (directory.NetworkLink, error) {
	var none directory.NetworkLink
	if days < 1 || days > 30 {
		return none, fmt.Errorf("relay: a token lives 1 to 30 days")
	}
	h := &home{dir: dir}
	now := time.Now()
	chain, err := h.loadNetwork(now)
	if err != nil {
		return none, err
	}
	b, err := h.read(fileSigner)
	if err != nil {
		return none, err
	}
	if chain == nil || b == nil {
		return none, ErrNoNetwork
	}
	k, err := parseKeyFile(b, keySigner)
	if err != nil {
		return none, err
	}
	var nonce [16]byte
	rand.Read(nonce[:])
	t, err := directory.IssueToken(chain.ID(), ed25519.NewKeyFromSeed(k.secret[:]), nonce, now.Add(time.Duration(days)*day), uses)
	if err != nil {
		return none, err
	}
	return chain.Link(t.Bytes()), nil
}
