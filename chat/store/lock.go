package store

import (
	"crypto/subtle"
	"fmt"
)

// Lock erases the keys of histories and of all other values from memory, once
// the transactions that use them have ended. What is left can name rows, keep
// what the network layers ask for (KV) and add to boxes; everything else fails
// with ErrLocked. ErrNoPassphrase: nothing would keep anybody from unlocking it.
func (s *Store) Lock() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.wiped:
		return ErrWiped
	case !s.encrypted:
		return ErrNoPassphrase
	case s.keys.locked:
		return nil
	}
	if s.keys.dirty {
		if err := s.writeKeys(s.keys); err != nil {
			return fmt.Errorf("lock store: %w", err)
		}
	}
	old := s.keys
	s.keys = &keyTable{
		header: old.header, commitment: old.commitment, locked: true,
		meta: old.meta, network: old.network, box: boxKey{public: old.box.public},
	}
	old.retire()
	return nil
}

// Locked reports whether Lock erased the keys.
func (s *Store) Locked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.locked
}

// Unlock reads the keys again; it takes as long as Argon2id. The errors to
// decide on are those of Open. An open store stays as it is.
func (s *Store) Unlock(passphrase []byte) error {
	if !s.Locked() {
		return nil
	}
	keys, err := readKeys(s.dir, passphrase)
	if err != nil {
		return fmt.Errorf("unlock store: %w", err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.wiped || s.closed:
		keys.erase()
		return ErrWiped
	case !s.keys.locked:
		keys.erase()
		return nil
	case subtle.ConstantTimeCompare(keys.meta[:], s.keys.meta[:]) != 1:
		keys.erase()
		return fmt.Errorf("unlock store: the keystore is another one: %w", ErrDamaged)
	}
	s.keys.retire()
	s.keys = keys
	return nil
}
