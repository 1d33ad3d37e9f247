package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"practicectl/server/authn"
)

// firstAdministrator makes the first account over the local socket and gives it the demo's password with the one-time
// code, as its owner would.
func (s *story) firstAdministrator(ctx context.Context) error {
	head := s.people.Staff[0]
	var made struct {
		Code string `json:"activation_code"`
	}
	if err := s.clinic.run(ctx, &made, "user", "add", "--first", "--login", head.Login, "--name", head.Name, "--role", head.Role); err != nil {
		return err
	}
	client, err := trusting(s.summary.CA)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"login": head.Login, "code": made.Code, "password": password})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.summary.URL+"/api/v1/activate", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("activate the account: %w", err)
	}
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<12))
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("activate the account: %s: %s", answer.Status, said)
	}
	return nil
}

// trusting returns a client that trusts the practice's own certificate authority and no other.
func trusting(ca string) (*http.Client, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}, nil
}

func hashPassword(ctx context.Context) (string, error) { return authn.Hash(ctx, password) }

// aDayPasses changes what a day changes: some patients move, appointments take place, remarks are written.
func (s *story) aDayPasses(ctx context.Context) func(*pgx.Conn) error {
	return func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			for _, statement := range []string{
				`UPDATE pm.patient SET street = 'Neubaugasse ' || number % 90, remark = 'ist umgezogen'
				  WHERE id IN (SELECT id FROM pm.patient ORDER BY number LIMIT 12)`,
				`UPDATE pm.appointment SET status = 'arrived' WHERE id IN
				  (SELECT id FROM pm.appointment WHERE status = 'booked' ORDER BY lower(during), id LIMIT 60)`,
				`INSERT INTO pm.session (id, patient_id, practitioner_id, appointment_id, held_at, kind, price_minor, owner_id, facility_id)
				  SELECT gen_random_uuid(), patient_id, practitioner_id, id, lower(during), kind, 8200, owner_id, facility_id
				    FROM pm.appointment WHERE status = 'arrived'`,
			} {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
