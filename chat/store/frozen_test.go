package store

import (
	"bytes"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

var updateVectors = flag.Bool("update", false, "write the golden vectors anew")

// octets are hex in JSON.
type octets []byte

func (o octets) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(o)), nil }

func (o *octets) UnmarshalText(b []byte) (err error) {
	*o, err = hex.DecodeString(string(b))
	return err
}

type keystoreVector struct {
	Name        string
	Secret      octets // passphrase, or the content of store.key
	File        octets `json:",omitempty"`
	Meta, State octets `json:",omitempty"`
	History     []historyKeyVector
}

type historyKeyVector struct {
	Conversation octets // hashed name
	Week         uint32
	Key          octets
}

// changedKeystore is the first keystore with one byte changed, or cut.
type changedKeystore struct {
	Name   string
	Secret octets
	At     int // -1: cut by one byte
	Put    byte
	Class  string // passphrase, damaged or version
}

// rowVector is a value in its place, under the keys of the first keystore.
type rowVector struct {
	Kind    string // b, s, h, n or x
	Name    string
	Key     string `json:",omitempty"` // of kinds b and n
	Number  uint64 `json:",omitempty"` // of the others
	Week    uint32 `json:",omitempty"`
	Value   octets
	Bucket  octets // name in the file
	RowKey  octets
	Content octets // of the row
}

type storeVectors struct {
	Keystores []keystoreVector
	Changed   []changedKeystore
	Rows      []rowVector
}

func filled(from byte) (k [keySize]byte) {
	for i := range k {
		k[i] = from + byte(i)
	}
	return k
}

// frozenTable is a table with keys that are written out.
func frozenTable(kind byte) *keyTable {
	k := &keyTable{header: header{kdf: kind, salt: filled(1)}, meta: filled(2), state: filled(3), history: map[historyID]*[keySize]byte{}}
	if kind == kdfArgon2id {
		k.header.time, k.header.memory, k.header.threads = minTime, minMemory, 4
	}
	for i := range byte(3) {
		key := filled(10 + i)
		k.history[historyID{k.bucketName(kindHistory, "c_a"), 2900 + uint32(i)}] = &key
	}
	return k
}

func makeStoreVectors() (v storeVectors, err error) {
	for _, c := range []struct {
		name   string
		kind   byte
		secret []byte
	}{{"passphrase", kdfArgon2id, []byte("correct horse")}, {"key file", kdfKeyFile, bytes.Repeat([]byte{0x77}, keySize)}} {
		k := frozenTable(c.kind)
		k.kek, k.commitment = k.header.keyEncryption(c.secret)
		nonce := bytes.Repeat([]byte{0x55}, nonceSize)
		file := append(append(k.header.append(nil), k.commitment[:]...), nonce...)
		file = cipher(k.kek).Seal(file, nonce, k.appendTable(nil), k.aad())
		e := keystoreVector{Name: c.name, Secret: c.secret, File: file, Meta: k.meta[:], State: k.state[:]}
		for i := range byte(3) {
			n, key := k.bucketName(kindHistory, "c_a"), filled(10+i)
			e.History = append(e.History, historyKeyVector{n[:], 2900 + uint32(i), key[:]})
		}
		v.Keystores = append(v.Keystores, e)
	}
	file := v.Keystores[1]
	for _, c := range []changedKeystore{
		{Name: "another key", Secret: bytes.Repeat([]byte{0x78}, keySize), At: 0, Put: file.File[0]},
		{Name: "magic", At: 0, Put: 'x'},
		{Name: "version", At: 12, Put: 2},
		{Name: "kind", At: 13, Put: 3},
		{Name: "reserved", At: 15, Put: 1},
		{Name: "passes without Argon2id", At: 19, Put: 3},
		{Name: "reserved too", At: 31, Put: 1},
		{Name: "salt", At: 32, Put: 0},
		{Name: "commitment", At: 64, Put: ^file.File[64]},
		{Name: "nonce", At: 96, Put: 0},
		{Name: "table", At: 500, Put: ^file.File[500]},
		{Name: "tag", At: len(file.File) - 1, Put: ^file.File[len(file.File)-1]},
		{Name: "cut", At: -1},
	} {
		if c.Secret == nil {
			c.Secret = file.Secret
		}
		c.Class = classOf(openFrozen(c.apply(file.File), c.Secret))
		v.Changed = append(v.Changed, c)
	}
	k := frozenTable(kdfKeyFile)
	if err := k.derive(); err != nil {
		return v, err
	}
	for _, r := range []rowVector{
		{Kind: "b", Name: "contacts", Key: "c_a", Value: []byte("a value of a bucket")},
		{Kind: "n", Name: "guards", Key: "k", Value: []byte("a value of the network")},
		{Kind: "s", Name: "outbox", Number: 7, Value: []byte{}},
		{Kind: "s", Name: "outbox", Number: 8, Value: bytes.Repeat([]byte{1}, 124)},
		{Kind: "s", Name: "outbox", Number: 9, Value: bytes.Repeat([]byte{1}, 125)},
		{Kind: "h", Name: "c_a", Number: 1 << 40, Week: 2901, Value: []byte("a message")},
		{Kind: "x", Name: "fetched", Number: 3, Value: []byte("what came while it was locked")},
	} {
		if err := r.make(k); err != nil {
			return v, err
		}
		v.Rows = append(v.Rows, r)
	}
	return v, nil
}

// make seals the row as the store does.
func (r *rowVector) make(k *keyTable) (err error) {
	bucket := k.bucketName(kind(r.Kind[0]), r.Name)
	key := numberKey(r.Number)
	value, secret := []byte(r.Value), k.state
	if r.Key != "" {
		n := k.rowName(bucket, r.Key)
		key, value = n[:], append(append([]byte{byte(len(r.Key))}, r.Key...), value...)
	}
	r.Bucket, r.RowKey = bucket[:], key
	switch r.Kind {
	case "x":
		b := &Box{rows: rows{tx: &Tx{keys: k}, name: bucket}}
		r.Content, err = b.seal(r.Number, padValue(value))
		return err
	case "h":
		week := binary.BigEndian.AppendUint32(nil, r.Week)
		r.Content, err = sealRow(week, *k.history[historyID{bucket, r.Week}], bucket, append(bytes.Clone(key), week...), value)
		return err
	case "n":
		secret = k.network
	}
	r.Content, err = sealRow(nil, secret, bucket, key, value)
	return err
}

func (c changedKeystore) apply(file []byte) []byte {
	file = bytes.Clone(file)
	if c.At < 0 {
		return file[:len(file)-1]
	}
	file[c.At] = c.Put
	return file
}

func openFrozen(file, secret []byte) (*keyTable, error) {
	h, rest, err := parseHeader(file)
	if err != nil {
		return nil, err
	}
	return openKeyTable(h, secret, rest)
}

func classOf(_ *keyTable, err error) string {
	switch {
	case errors.Is(err, ErrPassphrase):
		return "passphrase"
	case errors.Is(err, ErrVersion):
		return "version"
	case errors.Is(err, ErrDamaged):
		return "damaged"
	}
	return fmt.Sprint(err)
}

// oracleKeys reads a keystore by SPEC.md §2 alone.
func oracleKeys(file, secret []byte) (meta, state []byte, history map[string]string, ok bool) {
	if string(file[:13]) != "hearsay keys\x01" || !bytes.Equal(file[14:16], []byte{0, 0}) || !bytes.Equal(file[28:32], make([]byte, 4)) {
		return nil, nil, nil, false
	}
	number := func(at int) uint32 { return binary.BigEndian.Uint32(file[at:]) }
	if file[13] == 1 {
		secret = argon2.IDKey(secret, file[32:64], number(16), number(20)*1024, uint8(number(24)), 32)
	}
	k := oracleHKDF(secret, file[32:64], "hearsay/1 keystore kek\x00", 64)
	table, ok := oracleOpen(k[:32], file[96:120], file[120:], append([]byte("hearsay/1 keystore table\x00"), file[:96]...))
	if !ok || !bytes.Equal(k[32:], file[64:96]) || len(table)%4096 != 0 {
		return nil, nil, nil, false
	}
	history = map[string]string{}
	n := binary.BigEndian.Uint32(table[64:])
	for i := range n {
		e := table[68+52*i:]
		history[fmt.Sprintf("%x %d", e[:16], binary.BigEndian.Uint32(e[16:]))] = hex.EncodeToString(e[20:52])
	}
	return table[:32], table[32:64], history, strings.Trim(string(table[68+52*n:]), "\x00") == ""
}

func oracleHMAC(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func oracleHKDF(secret, salt []byte, info string, n int) (out []byte) {
	if salt == nil {
		salt = make([]byte, 32)
	}
	prk, t := oracleHMAC(salt, secret), []byte(nil)
	for i := byte(1); len(out) < n; i++ {
		t = oracleHMAC(prk, t, []byte(info), []byte{i})
		out = append(out, t...)
	}
	return out[:n]
}

func oracleOpen(key, nonce, sealed, aad []byte) ([]byte, bool) {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, false
	}
	p, err := a.Open(nil, nonce, sealed, aad)
	return p, err == nil
}

// oracleRow opens a row by SPEC.md §3.2 and §3.5 alone.
func oracleRow(meta, state []byte, history map[string]string, r rowVector) ([]byte, bool) {
	bucket := oracleHMAC(meta, []byte("hearsay/1 store bucket\x00"), []byte(r.Kind), []byte(r.Name))[:16]
	key := binary.BigEndian.AppendUint64(nil, r.Number)
	if r.Key != "" {
		key = oracleHMAC(meta, []byte("hearsay/1 store name\x00"), bucket, []byte(r.Key))[:16]
	}
	if !bytes.Equal(bucket, r.Bucket) || !bytes.Equal(key, r.RowKey) {
		return nil, false
	}
	content, secret := []byte(r.Content), state
	aad := bytes.Join([][]byte{[]byte("hearsay/1 store row\x00"), {0, 0, 0, 1}, bucket, key}, nil)
	switch r.Kind {
	case "h":
		aad = append(aad, content[:4]...)
		secret, _ = hex.DecodeString(history[fmt.Sprintf("%x %d", bucket, binary.BigEndian.Uint32(content))])
		content = content[4:]
	case "n":
		secret = oracleHKDF(state, nil, "hearsay/1 store network\x00", 32)
	}
	var plain []byte
	if r.Kind == "x" {
		k, err := hpke.MLKEM768X25519().NewPrivateKey(oracleHKDF(state, nil, "hearsay/1 store box key\x00", 32))
		if err != nil {
			return nil, false
		}
		rcpt, err := hpke.NewRecipient(content[:1120], k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("hearsay/1 store box\x00"))
		if err != nil {
			return nil, false
		}
		if plain, err = rcpt.Open(aad, content[1120:]); err != nil {
			return nil, false
		}
	} else {
		var ok bool
		if plain, ok = oracleOpen(secret, content[:24], content[24:], aad); !ok {
			return nil, false
		}
	}
	n := binary.BigEndian.Uint32(plain)
	value := plain[4 : 4+n]
	if len(plain) != (4+int(n)+127)/128*128 || strings.Trim(string(plain[4+n:]), "\x00") != "" {
		return nil, false
	}
	if r.Key != "" {
		if int(value[0]) != len(r.Key) || string(value[1:1+len(r.Key)]) != r.Key {
			return nil, false
		}
		value = value[1+len(r.Key):]
	}
	return value, true
}

// open reads the row as the store does.
func (r rowVector) open(k *keyTable) ([]byte, error) {
	var bucket name
	copy(bucket[:], r.Bucket)
	secret, content, key := k.state, []byte(r.Content), []byte(r.RowKey)
	switch r.Kind {
	case "x":
		return (&Box{rows: rows{tx: &Tx{keys: k}, name: bucket}}).open(key, content)
	case "h":
		week, err := epochOf(content)
		if err != nil || week != r.Week {
			return nil, fmt.Errorf("week %d, %w", week, err)
		}
		return openRow(*k.history[historyID{bucket, week}], bucket, append(bytes.Clone(key), content[:4]...), content[4:])
	case "n":
		secret = k.network
	}
	v, err := openRow(secret, bucket, key, content)
	if err == nil && r.Key != "" {
		v = v[1+int(v[0]):]
	}
	return v, err
}

// TestFrozenVectors reads keystores and rows by the package and by a second
// decoder and compares with what was frozen, SHA-256 of the file included: who
// makes other bytes has to say so, since homes that are in use have the old ones.
func TestFrozenVectors(t *testing.T) {
	const path, frozen = "testdata/frozen.json", "458b10730cde9679d9804642c246e494ce53d93999cede1529ec222b41ef58ab"
	if *updateVectors {
		v, err := makeStoreVectors()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.MarshalIndent(v, "", " ")
		if err == nil {
			err = os.WriteFile(path, append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(raw)); sum != frozen {
		t.Errorf("%s has other bytes (%s) than those that were frozen", path, sum)
	}
	var v storeVectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	var meta, state []byte
	var history map[string]string
	var table *keyTable
	for _, e := range v.Keystores {
		k, err := openFrozen(e.File, e.Secret)
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		want := map[string]string{}
		for _, h := range e.History {
			want[fmt.Sprintf("%x %d", []byte(h.Conversation), h.Week)] = hex.EncodeToString(h.Key)
			if got := k.history[historyID{name(h.Conversation), h.Week}]; got == nil || !bytes.Equal(got[:], h.Key) {
				t.Errorf("%s: key of week %d", e.Name, h.Week)
			}
		}
		var ok bool
		meta, state, history, ok = oracleKeys(e.File, e.Secret)
		if !ok || !bytes.Equal(meta, e.Meta) || !bytes.Equal(state, e.State) || !maps.Equal(history, want) {
			t.Errorf("%s: the oracle reads other keys", e.Name)
		}
		if !bytes.Equal(k.meta[:], e.Meta) || !bytes.Equal(k.state[:], e.State) || len(k.history) != len(want) {
			t.Errorf("%s: other keys", e.Name)
		}
		table = k
	}
	for _, c := range v.Changed {
		if got := classOf(openFrozen(c.apply(v.Keystores[1].File), c.Secret)); got != c.Class || got == "<nil>" {
			t.Errorf("keystore, %s: %s, want %s", c.Name, got, c.Class)
		}
	}
	for _, r := range v.Rows {
		got, err := r.open(table)
		second, ok := oracleRow(meta, state, history, r)
		if err != nil || !ok || !bytes.Equal(got, r.Value) || !bytes.Equal(second, r.Value) {
			t.Errorf("%s %s %s%d: %x, %v; the oracle %x, %t", r.Kind, r.Name, r.Key, r.Number, got, err, second, ok)
		}
	}
}
