const axios = require('axios');

const API_KEY = 'your_api_key_here';
const BASE_URL = 'https://your-domain.com/api/external';

const headers = {
    'X-API-Key': API_KEY,
    'Content-Type': 'application/json'
};

// Create multiple leads
const leadsData = [
    {
        email: 'lead1@company.com',
        first_name: 'Alice',
        company: 'Company A',
        campaign_id: 1
    },
    {
        email: 'lead2@company.com',
        first_name: 'Bob',
        company: 'Company B',
        campaign_id: 1
    }
];

axios.post(`${BASE_URL}/leads/bulk`, leadsData, { headers })
    .then(response => {
        console.log('Bulk creation result:', response.data);
    })
    .catch(error => {
        console.error('Error:', error.response?.data || error.message);
    });
