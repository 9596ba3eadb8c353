package signer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"hearsay/directory"
)

// bandwidthName is the file of measurements in the state directory (SPEC.md §6.3).
const bandwidthName = "bandwidth"

// Layout of the file.
const (
	bandwidthVersion = 1
	measurementSize  = 32 + 4*8
	maxMeasurements  = 100_000
)

// openBandwidths reads the measurements of earlier runs. A damaged file is left
// aside: all is measured anew within days.
func openBandwidths(m Meter, dir string, log *slog.Logger) (*bandwidths, error) {
	b := &bandwidths{
		meter: m, path: filepath.Join(dir, bandwidthName), log: orDiscard(log),
		of: make(map[directory.RelayID]measurement),
	}
	raw, err := os.ReadFile(b.path)
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	of, err := parseMeasurements(raw)
	if err != nil {
		b.log.Warn("measurements of the last run are not used", logReason, err)
		return b, nil
	}
	b.of = of
	return b, nil
}

// save replaces the file.
func (b *bandwidths) save() error {
	b.mu.Lock()
	raw := appendMeasurements(nil, b.of)
	b.mu.Unlock()
	f, err := os.CreateTemp(filepath.Dir(b.path), bandwidthName+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), b.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func appendMeasurements(b []byte, of map[directory.RelayID]measurement) []byte {
	b = append(b, bandwidthVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(of)))
	for id, m := range of {
		b = append(b, id[:]...)
		b = binary.BigEndian.AppendUint64(b, m.speed)
		b = binary.BigEndian.AppendUint64(b, m.rate)
		b = binary.BigEndian.AppendUint64(b, unixOrZero(m.at))
		b = binary.BigEndian.AppendUint64(b, unixOrZero(m.next))
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func parseMeasurements(b []byte) (map[directory.RelayID]measurement, error) {
	if len(b) < 5+sha256.Size || b[0] != bandwidthVersion {
		return nil, errDamaged
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if own := sha256.Sum256(b); !bytes.Equal(own[:], sum) {
		return nil, errDamaged
	}
	n := int(binary.BigEndian.Uint32(b[1:]))
	if b = b[5:]; n > maxMeasurements || len(b) != n*measurementSize {
		return nil, errDamaged
	}
	of := make(map[directory.RelayID]measurement, n)
	for ; len(b) > 0; b = b[measurementSize:] {
		at, next := binary.BigEndian.Uint64(b[48:]), binary.BigEndian.Uint64(b[56:])
		if at > 1<<40 || next > 1<<40 {
			return nil, errDamaged
		}
		m := measurement{speed: binary.BigEndian.Uint64(b[32:]), rate: binary.BigEndian.Uint64(b[40:]), next: time.Unix(int64(next), 0)}
		if at != 0 {
			m.at = time.Unix(int64(at), 0)
		}
		of[directory.RelayID(b[:32])] = m
	}
	return of, nil
}

func unixOrZero(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix())
}
