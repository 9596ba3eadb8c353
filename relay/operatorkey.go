package relay

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"hearsay/directory"
)

// Errors of keys that operators keep in files of their own.
var (
	ErrKeyExists = errors.New("relay: the file exists already; keys are never replaced")
	// ErrWrongKey is returned for a file that holds no key, or one of another kind.
	ErrWrongKey = errors.New("relay: the file holds no key of this kind")
	// ErrDays is returned for a time that no token, vouch or certificate has.
	ErrDays = errors.New("relay: number of days out of range")
)

// FamilyDays is how long a family certificate counts at most, in days.
const FamilyDays = 730

// NewFamilyKey makes a family key in a new file, which no node needs: whoever
// has it speaks for the operator. It returns the public half, the family's name.
func NewFamilyKey(file string) ([32]byte, error) { return newOperatorKey(file, keyFamily) }

// NewInviterKey makes the key of a delegated inviter in a new file and returns
// its public half, for the founders.
func NewInviterKey(file string) ([32]byte, error) { return newOperatorKey(file, keyInviter) }

// FamilyKey returns the public half of the family key in a file.
func FamilyKey(file string) ([32]byte, error) {
	k, err := readOperatorKey(file, keyFamily)
	if err != nil {
		return [32]byte{}, err
	}
	return public(k), nil
}

func newOperatorKey(file string, kind keyKind) ([32]byte, error) {
	k := keyFile{kind: kind, from: time.Unix(time.Now().Unix(), 0)}
	rand.Read(k.secret[:])
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return [32]byte{}, fmt.Errorf("%w: %s", ErrKeyExists, file)
	}
	if err != nil {
		return [32]byte{}, err
	}
	_, err = f.Write(k.append(nil))
	return public(k), errors.Join(err, f.Sync(), f.Close())
}

func readOperatorKey(file string, kind keyKind) (keyFile, error) {
	st, err := os.Stat(file)
	if err != nil {
		return keyFile{}, err
	}
	if othersMayRead(st) {
		return keyFile{}, fmt.Errorf("%w: %s has mode %#o, want 0600", ErrHomeOpen, file, st.Mode().Perm())
	}
	if st.Size() != keyFileSize {
		return keyFile{}, fmt.Errorf("%w: %s", ErrWrongKey, file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return keyFile{}, err
	}
	k, err := parseKeyFile(b, kind)
	if err != nil {
		return k, fmt.Errorf("%w: %s", ErrWrongKey, file)
	}
	return k, nil
}

// CertifyFamily certifies with the family key in a file that a relay belongs to
// the family, for 1 to 730 days.
func CertifyFamily(file string, network directory.NetworkID, id directory.RelayID, days int) (directory.Family, error) {
	if days < 1 || days > FamilyDays {
		return directory.Family{}, fmt.Errorf("%w: a family certificate counts 1 to %d days", ErrDays, FamilyDays)
	}
	k, err := readOperatorKey(file, keyFamily)
	if err != nil {
		return directory.Family{}, err
	}
	return directory.SignFamily(network, ed25519.NewKeyFromSeed(k.secret[:]), id, inDays(days)), nil
}

// Vouch vouches for a relay with the family key in a file, for 1 to 180 days.
func Vouch(file string, network directory.NetworkID, id directory.RelayID, days int) (directory.Vouch, error) {
	if most := int(directory.MaxVouchLife / day); days < 1 || days > most {
		return directory.Vouch{}, fmt.Errorf("%w: a vouch counts 1 to %d days", ErrDays, most)
	}
	k, err := readOperatorKey(file, keyFamily)
	if err != nil {
		return directory.Vouch{}, err
	}
	return directory.SignVouch(network, ed25519.NewKeyFromSeed(k.secret[:]), id, inDays(days)), nil
}

// IssueTokenBy makes a relay token with the inviter key in a file and returns the
// given network link with it. Uses are 1 to 10, days 1 to 30.
func IssueTokenBy(file string, link directory.NetworkLink, uses, days int) (directory.NetworkLink, error) {
	k, err := readOperatorKey(file, keyInviter)
	if err != nil {
		return directory.NetworkLink{}, err
	}
	i, err := issueToken(link.ID, k, uses, days)
	link.Token = i
	return link, err
}

// issueToken returns the bytes of a new invitation.
func issueToken(network directory.NetworkID, issuer keyFile, uses, days int) ([]byte, error) {
	if days < 1 || days > int(directory.MaxTokenLife/day) {
		return nil, fmt.Errorf("%w: a token lives 1 to 30 days", ErrDays)
	}
	var seed [32]byte
	rand.Read(seed[:])
	i, err := directory.IssueToken(network, ed25519.NewKeyFromSeed(issuer.secret[:]), seed, inDays(days), uses)
	if err != nil {
		return nil, err
	}
	return i.Bytes(), nil
}

func inDays(days int) time.Time { return time.Now().Add(time.Duration(days) * day) }

// HomeID returns the identity of the relay of a home, which may be in use. A home
// without an identity, or one that does not exist, is ErrNoNetwork.
func HomeID(dir string) (directory.RelayID, error) {
	b, err := (&home{dir: dir}).read(fileIdentity)
	if err != nil {
		return directory.RelayID{}, err
	}
	if b == nil {
		return directory.RelayID{}, ErrNoNetwork
	}
	k, err := parseKeyFile(b, keyIdentity)
	return directory.RelayID(public(k)), err
}
