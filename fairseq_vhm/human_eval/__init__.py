"""Human evaluation as in VHM (Liang et al., ACL 2022, Tables 6 and 7): blinded sheets, ratings, results."""
