package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"hearsay/directory"
	"hearsay/directory/signer"
)

// DirectoryKeys is what the keys and the network of a home say of the directory that is to
// run in it.
type DirectoryKeys struct {
	Chain     *directory.Chain // may have expired
	ID        directory.RelayID
	Bootstrap netip.AddrPort // its address in the network file; invalid: it dials out alone
	Signs     bool
	// Of a signer: when its online key ends, zero if only a running one can tell, and
	// whether it makes the next certificate itself.
	KeyEnds time.Time
	Renews  bool
}

// ReadDirectoryKeys reads the network and the keys of a directory's home, as a start
// would, and fails with what would keep it from starting. It makes and changes nothing
// and needs no lock; running tells that a directory holds the home.
func ReadDirectoryKeys(dir string, running bool) (*DirectoryKeys, error) {
	chain, err := FounderChain(dir)
	if err != nil {
		return nil, err
	}
	h := &home{dir: dir}
	d := &DirectoryKeys{Chain: chain}
	if d.ID, err = HomeID(dir); err != nil {
		return nil, err
	}
	for name, kind := range map[string]keyKind{fileLink: keyLink, fileReset: keyReset, fileToken: keyToken, fileOnline: keyOnline} {
		b, err := h.read(name)
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue // made at the start
		}
		if _, err := parseKeyFile(b, kind); err != nil {
			return nil, fmt.Errorf("%w: %s", err, h.path(name))
		}
	}
	for _, b := range chain.Current().Bootstraps {
		if b.ID == d.ID.Prefix() {
			d.Bootstrap = b.Addr
		}
	}
	if d.Signs, err = (&DirectoryNode{home: h}).signs(chain); err != nil {
		return nil, err
	}
	if !d.Signs {
		if !d.Bootstrap.IsValid() {
			return nil, ErrNoDirectory
		}
		return d, nil
	}
	if _, err := h.asTable(chain.Current()); err != nil {
		return nil, err
	}
	return d, d.online(h, running)
}

// online looks for the certificate of the online key.
func (d *DirectoryKeys) online(h *home, running bool) error {
	identity, made, err := h.signerKeys()
	if err != nil {
		return err
	}
	if d.Renews = identity != nil; d.Renews || running {
		return nil
	}
	key, err := h.onlineKey(fileOnline)
	if err != nil {
		return err
	}
	stored, err := signer.StoredCertificate(filepath.Join(h.dir, "signer"))
	if err != nil {
		return err
	}
	var errs []error
	for _, raw := range [][]byte{made, stored} {
		if raw == nil {
			continue
		}
		c, err := directory.ParseCertificate(d.Chain.ID(), raw)
		errs = append(errs, err)
		if err == nil && c.Online == key && c.NotAfter.After(d.KeyEnds) {
			d.KeyEnds = c.NotAfter
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if d.KeyEnds.IsZero() {
		return signer.ErrNoCertificate
	}
	return nil
}
