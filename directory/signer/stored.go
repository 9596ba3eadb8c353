package signer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// StoredCertificate returns the certificate of the online key that a state directory
// holds, nil if it holds none. It changes nothing, and fails while a signer uses the
// directory.
func StoredCertificate(dir string) (raw []byte, err error) {
	p := filepath.Join(dir, dbName)
	if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	db, err := bbolt.Open(p, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("signer: open %s: %w", dbName, err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			raw = bytes.Clone(meta.Get(metaCertificate))
		}
		return nil
	})
	return raw, err
}
