package store

import (
	"path/filepath"
	"testing"
)

// BenchmarkUpdate is one transaction of a message sent: state, row, ledger.
func BenchmarkUpdate(b *testing.B) {
	s, err := Create(Config{Dir: filepath.Join(b.TempDir(), "home")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	state, row := make([]byte, 2048), make([]byte, 1900)
	for b.Loop() {
		if err := s.Update(func(tx *Tx) error {
			if err := tx.Bucket("state").Put("c", state); err != nil {
				return err
			}
			if _, err := tx.Sequence("outbox").Add(row); err != nil {
				return err
			}
			_, err := tx.Sequence("ledger").Add(row[:200])
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
