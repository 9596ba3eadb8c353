package relay

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/netip"
	"time"

	"hearsay/directory"
)

// Founding says what network to found.
type Founding struct {
	Name   string
	Label  string         // of the founder, at most 32 bytes; default "founder"
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
	// ErrWrongPassphrase is returned when a passphrase opens no root key.
	ErrWrongPassphrase = errors.New("relay: the passphrase does not open the root key")
)

// Files of a founder's home, and the life of a network file.
const (
	fileRoot   = "root.key"
	fileSigner = "signer.key"
	fileOnline = "online.key"

	networkLife = 730 * day
	soloLabel   = "founder"
)

// Found founds a solo network in a new home: root key, signer identity, the
// identity of the directory node, and version 1 of the network file. It
// returns the network link.
func Found(dir string, f Founding) (directory.NetworkLink, error) {
	founder := Founder{Home: dir, Label: cmp.Or(f.Label, soloLabel), Listen: f.Listen, Passphrase: f.Passphrase}
	return FoundTogether(f, []Founder{founder})
}

// FoundTogether founds a network of several founders whose homes are all on
// this computer, as a lab has them; each must be new. Label, Listen and
// Passphrase of f are not used.
func FoundTogether(f Founding, founders []Founder) (directory.NetworkLink, error) {
	var link directory.NetworkLink
	file := NewNetworkFile(f.Name, f.Join, f.Lab, time.Now())
	for i := range founders {
		founders[i].Lab = f.Lab
		raw, err := MakeCard(founders[i])
		if err != nil {
			return link, err
		}
		card, err := directory.ParseCard(raw)
		if err != nil {
			return link, err
		}
		if err := file.AddFounder(card); err != nil {
			return link, err
		}
	}
	d, err := directory.DraftFounding(file)
	if err != nil {
		return link, err
	}
	for _, o := range founders {
		if err := SignDraft(o.Home, d, o.Passphrase, false); err != nil {
			return link, err
		}
	}
	for _, o := range founders {
		chain, err := InstallDraft(o.Home, d)
		if err != nil {
			return link, err
		}
		link = chain.Link(nil)
	}
	return link, nil
}

// NewNetworkFile returns version 1 of a network without founders: life 730
// days, fresh salt.
func NewNetworkFile(name string, join directory.Join, lab bool, now time.Time) directory.NetworkFile {
	now = time.Unix(now.Unix(), 0)
	f := directory.NetworkFile{Name: name, Created: now, Expires: now.Add(networkLife), Join: join, Lab: lab}
	rand.Read(f.Salt[:])
	return f
}

// IssueToken makes a relay token with the signer key of a founder's home,
// which may be in use, and returns the network link that carries it. Uses are
// 1 to 10, days 1 to 30.
func IssueToken(dir string, uses, days int) (directory.NetworkLink, error) {
	var none directory.NetworkLink
	h := &home{dir: dir}
	chain, err := h.loadNetwork(time.Now())
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
	token, err := issueToken(chain.ID(), k, uses, days)
	if err != nil {
		return none, err
	}
	return chain.Link(token), nil
}
