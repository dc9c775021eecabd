/* pipeline.c - libpq's pipeline mode: many statements before the first answer, one of them bad. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#define STATEMENTS 200

static int
drain(PGconn *conn, int *out_rows, int *out_errors, int *out_aborted)
{
    for (int i = 0; i < STATEMENTS; i++) {
        PGresult *result = PQgetResult(conn);
        switch (PQresultStatus(result)) {
        case PGRES_TUPLES_OK:
            *out_rows += atoi(PQgetvalue(result, 0, 0)) == i;
            break;
        case PGRES_PIPELINE_ABORTED:
            (*out_aborted)++;
            break;
        default:
            (*out_errors)++;
        }
        PQclear(result);
        PQclear(PQgetResult(conn)); /* the end of this statement */
    }
    PGresult *sync = PQgetResult(conn);
    int fine = PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
    PQclear(sync);
    return fine;
}

static int
run(PGconn *conn, int bad)
{
    int rows = 0, errors = 0, aborted = 0;
    for (int i = 0; i < STATEMENTS; i++) {
        char text[16];
        const char *values[] = {text};
        (void)snprintf(text, sizeof(text), "%d", i);
        if (!PQsendQueryParams(conn, i == bad ? "SELECT 1 / ($1::int - $1::int)" : "SELECT $1::int",
                               1, NULL, values, NULL, NULL, 0))
            return 0;
    }
    if (!PQpipelineSync(conn) || !drain(conn, &rows, &errors, &aborted))
        return 0;
    printf("bad %d: %d rows, %d errors, %d aborted\n", bad, rows, errors, aborted);
    return bad < 0 ? rows == STATEMENTS
                   : rows == bad && errors == 1 && aborted == STATEMENTS - bad - 1;
}

int
main(int argc, char **argv)
{
    PGconn *conn = PQconnectdb(argc > 1 ? argv[1] : "");
    if (PQstatus(conn) != CONNECTION_OK || !PQenterPipelineMode(conn)) {
        printf("%s", PQerrorMessage(conn));
        return 1;
    }
    int fine = run(conn, -1) && run(conn, 50) && run(conn, -1) && PQexitPipelineMode(conn);
    PQfinish(conn);
    return fine ? 0 : 1;
}
