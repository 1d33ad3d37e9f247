package server

import (
	"log/slog"
	"net/http"

	"practicectl/internal/config"
	core "practicectl/server"
	"practicectl/server/gate"
)

// screens serves what people see in the browser.
func screens(_ *core.Services, _ *gate.Gate, _ *config.File, _ *slog.Logger) http.Handler {
	return http.NotFoundHandler()
}
