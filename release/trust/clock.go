package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"practicectl/internal/atomicfile"
)

// issuedField is when a timestamp was signed. It lies beside the fields of the TUF specification, under the signature.
const issuedField = "x-issued"

// clock is what is remembered of time between runs.
type clock struct {
	Seen   time.Time `json:"seen"`   // latest time this machine showed, never more than maxAhead after Issued
	Issued time.Time `json:"issued"` // newest signed x-issued
	Keys   []string  `json:"keys"`   // timestamp keys that vouched for it: a new key starts the clock anew
}

// loadClock forgets the clock when the vendor has replaced the timestamp keys: whoever stole the old ones may have
// set it forward.
func (c *Client) loadClock(root *metadata.Metadata[metadata.RootType]) (clock, error) {
	var k clock
	keys := timestampKeys(root)
	data, err := os.ReadFile(c.clockFile())
	if err == nil && json.Unmarshal(data, &k) == nil && slices.Equal(k.Keys, keys) {
		return k, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return clock{}, err
	}
	return clock{Keys: keys}, nil
}

func timestampKeys(root *metadata.Metadata[metadata.RootType]) []string {
	role := root.Signed.Roles[metadata.TIMESTAMP]
	if role == nil {
		return nil
	}
	return slices.Sorted(slices.Values(role.KeyIDs))
}

// reference is the time that expiry is judged by: a clock that is behind is raised to what is known to have passed.
func (c *Client) reference(k clock) time.Time {
	ref := c.o.Now().UTC()
	for _, t := range []time.Time{k.Seen, k.Issued, c.o.Built} {
		if t.After(ref) {
			ref = t.UTC()
		}
	}
	return ref
}

// suspected reports whether the clock, not the source, is probably wrong.
func suspected(now, issued time.Time) bool {
	return !issued.IsZero() && now.After(issued.Add(maxAhead))
}

// keepClock remembers the time, bounded by what was signed.
func (c *Client) keepClock(k clock, issued time.Time) error {
	if issued.After(k.Issued) {
		k.Issued = issued
	}
	now := c.o.Now().UTC().Truncate(time.Second)
	if limit := k.Issued.Add(maxAhead); now.After(limit) {
		now = limit
	}
	if now.After(k.Seen) {
		k.Seen = now
	}
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(c.clockFile(), 0o600, append(data, '\n'))
}

// issuedAt reads the signed time of a timestamp, which cannot lie after the root that vouches for its key.
func issuedAt(ts *metadata.Metadata[metadata.TimestampType], root *metadata.Metadata[metadata.RootType]) (time.Time, error) {
	text, _ := ts.Signed.UnrecognizedFields[issuedField].(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, &metadata.ErrRepository{Msg: fmt.Sprintf("timestamp.json has no valid %s", issuedField)}
	}
	if t.After(root.Signed.Expires) || t.After(ts.Signed.Expires) {
		return time.Time{}, &metadata.ErrRepository{Msg: fmt.Sprintf("timestamp.json has an %s after its own expiry", issuedField)}
	}
	return t.UTC(), nil
}
