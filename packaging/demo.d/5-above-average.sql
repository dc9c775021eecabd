-- Per section, the packages that weigh over a hundred times their section's average.
SELECT p.section, p.name, p.installed_kb / 1024 AS mb, round(p.installed_kb / s.average_kb) AS times
FROM packages p
JOIN (SELECT section, avg(installed_kb) AS average_kb FROM packages GROUP BY section) s
  ON s.section = p.section
WHERE p.installed_kb > 100 * s.average_kb
ORDER BY times DESC, p.name
LIMIT 8;
