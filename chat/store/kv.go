package store

// KV keeps named values; each Save is a transaction of its own. It is safe for
// concurrent use, and fits packages that ask for Load and Save alone.
type KV struct {
	store *Store
	name  string
}

// KV returns the named values under a name. Those under different names share
// nothing.
func (s *Store) KV(name string) *KV { return &KV{store: s, name: "kv/" + name} }

// Load returns a copy of the value, or nil if there is none.
func (k *KV) Load(name string) (value []byte, err error) {
	err = k.store.View(func(tx *Tx) error {
		value, err = tx.Bucket(k.name).Get(name)
		return err
	})
	return value, err
}

// Save sets the value and returns once it is on disk.
func (k *KV) Save(name string, value []byte) error {
	return k.store.Update(func(tx *Tx) error { return tx.Bucket(k.name).Put(name, value) })
}
