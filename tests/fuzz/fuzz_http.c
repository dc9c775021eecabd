/* tests/fuzz/fuzz_http.c - any bytes are requests or the end of the connection. */
#include "fake_conn.h"
#include "http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct http_limits limits = {.body_bytes_max = 2000};
    struct luma_conn conn;
    struct http_request request;
    if (bytes < 1)
        return 0;
    fake_conn_init(&conn, data + 1, bytes - 1, data[0] & 0x1f);
    struct http *http = http_create(&fake_host, &conn, &limits);
    LK_ASSERT(http != NULL);
    while (http_read(http, &request) == LUMA_OK) {
        LK_ASSERT(request.path != NULL && request.method != NULL);
        LK_ASSERT(request.body.bytes <= limits.body_bytes_max);
        (void)http_header(http, "host");
        if (http_respond(http, 200, "text/plain", NULL, "x", 1) != LUMA_OK)
            break;
    }
    http_destroy(http);
    fake_conn_fini(&conn);
    return 0;
}
