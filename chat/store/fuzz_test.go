package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
)

// FuzzParseRow feeds padded plaintexts; what is accepted pads again to the same.
func FuzzParseRow(f *testing.F) {
	f.Add(padValue(nil))
	f.Add(padValue([]byte("value")))
	f.Add(padValue(make([]byte, rowUnit-4)))
	f.Add(padValue(make([]byte, rowUnit-3)))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := unpadValue(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(padValue(v), b) {
			t.Fatal("pads to something else")
		}
	})
}

// FuzzParseKeystore feeds the clear header and the opened table.
func FuzzParseKeystore(f *testing.F) {
	h, err := newHeader(Config{Passphrase: []byte("x")})
	if err != nil {
		f.Fatal(err)
	}
	k := &keyTable{header: h, history: map[historyID]*[keySize]byte{}}
	k.history[historyID{name{1}, 2}] = &[keySize]byte{3}
	f.Add(h.append(nil), k.appendTable(nil))
	f.Add(header{kdf: kdfKeyFile}.append(nil), make([]byte, tableUnit))
	f.Fuzz(func(t *testing.T, head, table []byte) {
		if h, rest, err := parseHeader(head); err == nil && !bytes.Equal(append(h.append(nil), rest...), head) {
			t.Fatal("header encodes to something else")
		}
		k := &keyTable{history: map[historyID]*[keySize]byte{}}
		if err := k.parseTable(table); err == nil && !bytes.Equal(k.appendTable(nil), table) {
			t.Fatal("table encodes to something else")
		}
	})
}

// FuzzStoredRow overwrites one sealed row in a live store by bytes and reads it
// every way there is: only the bytes that were there may come back.
func FuzzStoredRow(f *testing.F) {
	s, err := Create(Config{Dir: filepath.Join(f.TempDir(), "home")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	s.db.NoSync = true // the disk is not what is tested
	good, err := sealRow(nil, s.keys.state, s.keys.bucketName(kindSequence, "q"), numberKey(1), []byte("value"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Add(make([]byte, boxEnc+tagSize))
	f.Add(binary.BigEndian.AppendUint32(nil, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := s.Update(func(tx *Tx) error {
			q, h, kv, box := tx.Sequence("q"), tx.History("q"), tx.Bucket("q"), tx.Box("q")
			n := s.keys.rowName(kv.rows.name, "k")
			for _, err := range []error{q.rows.put(numberKey(1), b), h.rows.put(numberKey(1), b), kv.rows.put(n[:], b), box.rows.put(numberKey(1), b)} {
				if err != nil {
					return err
				}
			}
			if v, err := q.Get(1); bytes.Equal(b, good) {
				if err != nil || string(v) != "value" {
					t.Errorf("good row: %q, %v", v, err)
				}
			} else if !errors.Is(err, ErrDamaged) {
				t.Errorf("sequence: %q, %v", v, err)
			}
			if v, err := h.Get(1); !errors.Is(err, ErrDamaged) {
				t.Errorf("history: %q, %v", v, err)
			}
			if v, err := box.Take(2); len(v) != 1 || v[0] != nil || err != nil {
				t.Errorf("box: %q, %v", v, err)
			}
			if v, err := kv.Get("k"); !errors.Is(err, ErrDamaged) {
				t.Errorf("bucket: %q, %v", v, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
