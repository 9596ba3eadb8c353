package store

// KV keeps named values; each Save is a transaction of its own. It is safe for
// concurrent use, and fits packages that ask for Load and Save alone. It goes on
// while the store is locked: what the network layers keep is sealed by a key of
// its own.
type KV struct {
	store *Store
	name  string
}

// KV returns the named values under a name. Those under different names share
// nothing.
func (s *Store) KV(name string) *KV { return &KV{store: s, name: name} }

// Load returns a copy of the value, or nil if there is none.
func (k *KV) Load(name string) (value []byte, err error) {
	err = k.store.View(func(tx *Tx) error {
		value, err = k.bucket(tx).Get(name)
		return err
	})
	return value, err
}

// Save sets the value and returns once it is on disk.
func (k *KV) Save(name string, value []byte) error {
	return k.store.Update(func(tx *Tx) error { return k.bucket(tx).Put(name, value) })
}

func (k *KV) bucket(tx *Tx) *Bucket { return &Bucket{rows: tx.rows(kindNetwork, k.name)} }
