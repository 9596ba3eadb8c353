package store

import (
	"crypto/rand"
	"fmt"
	"io"
	"path/filepath"
)

// ChangePassphrase protects the keys by another passphrase; an empty one leaves
// file mode alone, and an empty old one says that there is none. It takes twice
// as long as Argon2id. After a crash at any instant the store opens with the old
// passphrase or with the new one, never with both. The errors to decide on are
// ErrPassphrase, ErrPassphraseNeeded, ErrNoPassphrase and ErrLocked.
func (s *Store) ChangePassphrase(old, passphrase []byte) error {
	if err := s.changePassphrase(old, passphrase); err != nil {
		return fmt.Errorf("change passphrase: %w", err)
	}
	return nil
}

func (s *Store) changePassphrase(old, passphrase []byte) error {
	if s.Locked() {
		return ErrLocked
	}
	check, err := readKeys(s.dir, old)
	if err != nil {
		return err
	}
	memory := s.memory
	if check.header.kdf == kdfArgon2id {
		memory = int(check.header.memory)
	}
	check.erase()
	if len(old) == 0 && len(passphrase) == 0 {
		return nil // two files cannot be replaced at once, and nothing would change
	}
	h, err := newHeader(Config{Passphrase: passphrase, Memory: memory})
	if err != nil {
		return err
	}
	plain := filepath.Join(s.dir, plainKeyFile)
	secret := passphrase
	if h.kdf == kdfKeyFile {
		secret = make([]byte, keySize)
		defer clear(secret)
		if _, err := io.ReadFull(rand.Reader, secret); err != nil {
			return err
		}
	}
	kek, commitment := h.keyEncryption(secret)
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys.locked {
		return ErrLocked
	}
	if h.kdf == kdfKeyFile { // of no use while the keystore asks for a passphrase
		if err := s.disk.write(plain, secret); err != nil {
			return err
		}
	}
	k := s.keys
	before, oldKey, oldCommitment := k.header, k.kek, k.commitment
	k.header, k.kek, k.commitment = h, kek, commitment
	if err := s.writeKeys(k); err != nil {
		if !s.onDisk(h) {
			k.header, k.kek, k.commitment = before, oldKey, oldCommitment
			return err
		}
	}
	clear(oldKey[:])
	s.encrypted = h.kdf == kdfArgon2id
	if s.encrypted {
		return s.disk.shred(plain)
	}
	return nil
}

// onDisk tells whether the keystore in the directory has a header: a write may
// fail after the file got its name.
func (s *Store) onDisk(h header) bool {
	there, _, err := readKeystore(s.dir)
	return err == nil && there == h
}
