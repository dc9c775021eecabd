-- Maintainers of ten or more packages that link OpenSSL, and how large these are on average.
WITH tls AS (
    SELECT DISTINCT package FROM dependencies WHERE target = 'libssl3' AND kind = 'depends'
)
SELECT regexp_replace(maintainer, ' *<.*$', '') AS team, count(*) AS packages,
       round(avg(size_bytes) / 1024) AS average_kb
FROM packages
JOIN tls ON tls.package = packages.name
GROUP BY 1
HAVING count(*) >= 10
ORDER BY packages DESC, team
LIMIT 8;
